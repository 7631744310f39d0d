//! What is kept of a hand-over: sizes for all who may read it, the model's reason for its owner alone,
//! and neither as plain text on the disk.

use reqwest::Method;
use serde_json::{Value, json};

use super::{POOLS, WAYS, asked, calls, decisions, says, story, talking, transfer, user};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Answer, Baton, run, sent, until};

#[test]
fn a_hand_over_tells_how_much_went_along_and_into_which_dialect() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![(0, calls(vec![transfer(b, "it writes better")])), (1, says("x"))];
                let fixture = talking(pool, turns, "").await;
                let (answer, _) =
                    asked(&fixture.baton, way, json!({"model": pool, "messages": user("go")})).await;
                let all = decisions(&fixture, &answer).await;
                let case = format!("{pool:?} {way:?} {}", all[1]);
                let note = &all[1]["handoff"];
                assert_eq!(note["said"], "it writes better", "{case}");
                assert_eq!(note["history"], "full", "{case}");
                // The call and its result.
                assert_eq!(note["messages"], 2, "{case}");
                assert!(note["bytes"].as_u64().is_some_and(|bytes| (50..2_000).contains(&bytes)), "{case}");
                let name = |model: &str| {
                    if model.starts_with("oai/") { "openai_chat" } else { "anthropic_messages" }
                };
                let translated = (name(a) != name(b)).then(|| format!("{}->{}", name(a), name(b)));
                assert_eq!(note["translated"].as_str().map(str::to_owned), translated, "{case}");
                assert!(all[0]["handoff"].is_null(), "{case}");
                assert_eq!(all[1]["reason"]["source"], "model", "{case}");
            }
        }
    });
}

#[test]
fn a_reason_of_a_models_is_cut_at_five_hundred_characters() {
    run(async {
        let pool = ["oai/fake", "ant/fake-b"];
        for way in WAYS {
            let long = "é".repeat(3_000);
            let turns = vec![(0, calls(vec![transfer(pool[1], &long)])), (1, says("x"))];
            let fixture = talking(pool, turns, "").await;
            let (answer, _) =
                asked(&fixture.baton, way, json!({"model": pool, "messages": user("go")})).await;
            let all = decisions(&fixture, &answer).await;
            let said = all[1]["handoff"]["said"].as_str().expect("a reason").to_owned();
            assert_eq!(said, "é".repeat(500), "{way:?}");
        }
    });
}

/// A run as this key sees it.
async fn seen_with(baton: &Baton, secret: &str, answer: &Answer) -> (u16, Value) {
    let path = format!("/v1/decisions/{}", answer.header("x-baton-run-id"));
    let found = sent(baton.keyless(Method::GET, &path).bearer_auth(secret)).await;
    (found.status, serde_json::from_slice(&found.body).unwrap_or_default())
}

#[test]
fn what_a_model_said_is_for_its_owner_alone_and_lies_nowhere_in_plain_text() {
    run(async {
        const CANARY: &str = "canary-reason-8c1f";
        for pool in [POOLS[0], POOLS[2], POOLS[3]] {
            for way in WAYS {
                let [_, b] = pool;
                let turns = vec![
                    (
                        0,
                        calls(vec![(transfer(b, "").0, json!({"reason": CANARY, "task": "canary-task-77"}))]),
                    ),
                    (1, says("canary-answer-12")),
                ];
                let mut fixture = talking(pool, turns, "auth: { required: true }").await;
                let [owner, other, viewer] = [
                    create(&fixture.baton, &["owner"]).await,
                    create(&fixture.baton, &["other"]).await,
                    create(&fixture.baton, &["viewer", "--role", "viewer"]).await,
                ];
                fixture.baton.set_key(&owner.secret);
                let body = json!({"model": pool, "messages": user("canary-prompt-5"), "handoff_config": {"package": true}});
                let (answer, _) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                story(&fixture, &answer).await;
                let (status, run) = seen_with(&fixture.baton, &owner.secret, &answer).await;
                assert_eq!(
                    (status, &run["decisions"][1]["handoff"]["said"]),
                    (200, &json!(CANARY)),
                    "{case}"
                );
                let (status, run) = seen_with(&fixture.baton, &other.secret, &answer).await;
                assert_eq!(status, 404, "{case}: {run}");
                let (status, run) = seen_with(&fixture.baton, &viewer.secret, &answer).await;
                assert_eq!(status, 200, "{case}");
                assert!(!run.to_string().contains("canary-"), "{case}: {run}");
                assert_eq!(run["decisions"][1]["handoff"]["history"], "full", "{case}: {run}");
                // The list, which comes from the store, tells what the single decision does.
                let list = until("the decision is in the store", async || {
                    let list = fixture.baton.get("/v1/decisions?kind=handoff").await.expect(200).json();
                    (list["data"].as_array().map(Vec::len) == Some(1)).then_some(list)
                })
                .await;
                assert_eq!(list["data"][0]["handoff"]["said"], CANARY, "{case}: {list}");
                for (path, bytes) in fixture.baton.home.files() {
                    for word in ["canary-reason", "canary-task", "canary-answer", "canary-prompt"] {
                        let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                        assert!(!found, "{case}: {word} lies in {}", path.display());
                    }
                }
                assert!(!fixture.baton.log().contains("canary-"), "{case}: in the log");
            }
        }
    });
}
