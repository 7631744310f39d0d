//! `POST /v1/decisions/{id}/feedback`: by whom, what, and who sees it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Site, on_each_store};
use crate::blackbox::keys::{create, holds};
use crate::blackbox::support::{Answer, Baton, run, sent, until};
use crate::blackbox::v1::text;

async fn said(baton: &Baton, secret: Option<&str>, id: &str, body: &Value) -> Answer {
    let request = baton.keyless(Method::POST, &format!("/v1/decisions/{id}/feedback")).json(body);
    sent(match secret {
        Some(secret) => request.bearer_auth(secret),
        None => request,
    })
    .await
}

/// The feedback of a run's first decision, as this key sees it, once there is so much.
async fn seen(baton: &Baton, path: &str, secret: &str, count: usize) -> Vec<Value> {
    until("the feedback has reached the store", async || {
        let run = sent(baton.keyless(Method::GET, path).bearer_auth(secret)).await.expect(200).json();
        let all = run["decisions"][0]["feedback"].as_array().cloned().unwrap_or_default();
        (all.len() == count).then_some(all)
    })
    .await
}

#[test]
fn feedback_is_added_and_shown_with_the_decision_and_its_words_to_their_owner_alone() {
    on_each_store("", async |site| {
        const CANARY: &str = "canary-comment-4471";
        let baton = site.baton();
        let mine = create(baton, &["mine"]).await;
        let ask = json!({"model": "oai/fake-x", "messages": "hi"});
        let answer =
            sent(baton.posting("/v1/chat/completions", &ask).bearer_auth(&mine.secret)).await.expect(200);
        let id = answer.header("x-baton-decision-id").to_owned();
        let whole = json!({"correct_target": "ant/fake", "score": 0.25, "label": "slow", "comment": CANARY});
        let first = said(baton, Some(&mine.secret), &id, &whole).await.expect(200).json();
        assert_eq!(
            (&first["object"], &first["decision"], &first["principal"]),
            (&json!("feedback"), &json!(id), &json!(mine.id))
        );
        for (member, value) in whole.as_object().expect("members") {
            assert_eq!(first[member], *value, "{first}");
        }
        let second =
            said(baton, Some(&mine.secret), &id, &json!({"correct_target": true})).await.expect(200).json();
        // The owner sees all of it, in the order in which it was said.
        let own = seen(baton, &format!("/v1/decisions/{id}"), &mine.secret, 2).await;
        assert_eq!(own, [first.clone(), second.clone()]);
        // An operator sees all but the words.
        let shown = seen(baton, &format!("/admin/v1/decisions/{id}"), super::ADMIN, 2).await;
        let mut without = first.clone();
        without.as_object_mut().expect("members").remove("comment");
        assert_eq!(shown, [without, second]);
        for (path, bytes) in baton.home.files() {
            assert!(!holds(&bytes, CANARY.as_bytes()), "the comment lies in {}", path.display());
        }
        // The decision itself is as it was.
        let row = &site.rows(&format!("&run={}", answer.header("x-baton-run-id"))).await[0];
        assert!(row["feedback"].is_null() && row["outcome"]["status"] == "ok", "{row}");
    });
}

#[test]
fn only_the_own_decision_is_spoken_of() {
    on_each_store("", async |site| {
        let baton = site.baton();
        let (mine, theirs) = (create(baton, &["mine"]).await, create(baton, &["theirs"]).await);
        let viewer = create(baton, &["viewer", "--role", "viewer"]).await;
        let ask = json!({"model": "oai/fake-x", "messages": "hi"});
        let answer =
            sent(baton.posting("/v1/chat/completions", &ask).bearer_auth(&mine.secret)).await.expect(200);
        let id = answer.header("x-baton-decision-id").to_owned();
        let good = json!({"score": 1});
        let missing = said(baton, Some(&theirs.secret), "dec_019356aa00007000800000000000000a", &good)
            .await
            .openai_error(404);
        for (secret, id) in [
            (Some(theirs.secret.as_str()), id.as_str()),
            (None, &id),
            (Some(super::ADMIN), &id),
            (Some(&mine.secret), answer.header("x-baton-run-id")),
            (Some(&mine.secret), "x"),
            (Some(&mine.secret), "%ff"),
        ] {
            // Word for word what is said of one that does not exist.
            assert_eq!(said(baton, secret, id, &good).await.openai_error(404), missing, "{id}");
        }
        said(baton, Some(&viewer.secret), &id, &good).await.openai_error(403);
        let got = sent(baton.keyless(Method::GET, &format!("/v1/decisions/{id}/feedback"))).await;
        got.openai_error(405);
        assert_eq!(got.header("allow"), "POST");
        said(baton, Some(&mine.secret), &id, &good).await.expect(200);
        assert_eq!(seen(baton, &format!("/v1/decisions/{id}"), &mine.secret, 1).await[0]["score"], 1.0);
    });
}

#[test]
fn what_is_wrong_with_feedback_is_named() {
    run(async {
        let site = Site::start("", None).await;
        let baton = site.baton();
        let answer = baton.chat(&json!({"model": "oai/fake-x", "messages": "hi"})).await.expect(200);
        let id = answer.header("x-baton-decision-id");
        for (body, param) in [
            (json!({}), Value::Null),
            (json!({"score": 2}), json!("score")),
            (json!({"score": "good"}), json!("score")),
            (json!({"label": "x".repeat(65)}), json!("label")),
            (json!({"correct_target": ["a"]}), json!("correct_target")),
            (json!({"comment": {"text": "x"}}), json!("comment")),
            (json!({"coment": "x"}), json!("coment")),
        ] {
            let error = said(baton, None, id, &body).await.openai_error(400);
            assert_eq!(error["param"], param, "{body}: {error}");
        }
        let error = said(baton, None, id, &json!({"coment": "x"})).await.openai_error(400);
        assert!(text(&error["message"]).contains("did you mean `comment`?"), "{error}");
        for raw in ["", "[]", "{\"score\": 1, \"score\": 0}"] {
            let request = baton.keyless(Method::POST, &format!("/v1/decisions/{id}/feedback")).body(raw);
            sent(request).await.openai_error(400);
        }
        // Nothing of it was recorded.
        let run = baton.get(&format!("/v1/decisions/{id}")).await.expect(200).json();
        assert!(run["decisions"][0]["feedback"].is_null(), "{run}");
    });
}
