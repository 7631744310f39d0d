//! `POST /v1/responses/compact`: a conversation as its user's messages and one sealed summary.

use serde_json::{Value, json};

use crate::blackbox::handoff::{says, scripted};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Baton, Fixture, run, unique};
use crate::blackbox::v1::answers::text;

const PATH: &str = "/v1/responses/compact";

fn talk() -> Value {
    json!([
        {"role": "user", "content": "My cat is called Ada."},
        {"role": "assistant", "content": "A fine name."},
        {"role": "user", "content": [{"type": "input_text", "text": "What is two and two?"}]},
        {"type": "function_call", "call_id": "call_1", "name": "sum", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "4"},
        {"role": "assistant", "content": "Four."},
    ])
}

/// What is in the place of the conversation.
#[track_caller]
fn output(compacted: &Value) -> Vec<Value> {
    assert_eq!(compacted["object"], "response.compaction", "{compacted}");
    assert!(text(&compacted["id"]).starts_with("resp_") && compacted["created_at"].is_u64(), "{compacted}");
    assert!(compacted["usage"]["total_tokens"].as_u64() > Some(0), "{compacted}");
    compacted["output"].as_array().expect("items").clone()
}

#[test]
fn the_users_messages_stay_and_the_rest_is_sealed() {
    run(async {
        for (model, other) in [("oai/fake", "ant/fake"), ("ant/fake", "oai/fake")] {
            let mut steps = [Vec::new(), Vec::new()];
            let first = usize::from(model.starts_with("ant/"));
            steps[first].push(says("The cat is Ada; two and two is four."));
            steps[1 - first].push(says("Ada."));
            let [openai, anthropic] = steps;
            let fixture = scripted(openai, anthropic, "").await;
            let body = json!({"model": model, "input": talk(), "instructions": "Be brief."});
            let answer = fixture.baton.post(PATH, &body).await.expect(200);
            assert!(!answer.text().contains("Ada;"), "the summary is sealed: {}", answer.text());
            let items = output(&answer.json());
            let said: Vec<(String, String)> = items[..items.len() - 1]
                .iter()
                .map(|item| (text(&item["role"]), text(&item["content"][0]["text"])))
                .collect();
            let user = |text: &str| ("user".to_owned(), text.to_owned());
            assert_eq!(said, [user("My cat is called Ada."), user("What is two and two?")]);
            let summary = items.last().expect("an item");
            assert_eq!(summary["type"], "compaction");
            // The record has the request like every other.
            let record = fixture.baton.run_of(&answer).await;
            assert_eq!(record["decisions"][0]["surface"], PATH);

            // Whoever goes on from it is told what was summed up.
            let mut input = items.clone();
            input.push(json!({"role": "user", "content": "What is my cat called?"}));
            let next = fixture.baton.responses(&json!({"model": other, "input": input})).await.expect(200);
            assert_eq!(next.json()["output"][0]["content"][0]["text"], "Ada.");
            let seen = if first == 1 { fixture.openai_saw("fake") } else { fixture.anthropic_saw("fake") };
            let sent = seen[0].json().to_string();
            assert!(sent.contains("The cat is Ada; two and two is four."), "{sent}");
            assert!(!sent.contains("compaction") && !sent.contains("baton1_"), "{sent}");
            // And so does who goes on from that.
            let path = format!("/v1/responses/{}/input_items?order=asc", text(&next.json()["id"]));
            let listed = fixture.baton.get(&path).await.expect(200).json();
            assert_eq!(listed["data"][2], *summary, "what was sent is kept as it was sent");
            let again = json!({"model": other, "input": "and?", "previous_response_id": next.json()["id"]});
            fixture.baton.responses(&again).await.expect(200);
            let seen = if first == 1 { fixture.openai_saw("fake") } else { fixture.anthropic_saw("fake") };
            assert!(seen[1].json().to_string().contains("The cat is Ada; two and two is four."));
        }
    });
}

#[test]
fn a_stored_conversation_is_compacted_by_its_last_response() {
    run(async {
        let fixture = scripted(vec![says("Hello."), says("They said hello.")], Vec::new(), "").await;
        let first =
            fixture.baton.responses(&json!({"model": "oai/fake", "input": "hi"})).await.expect(200).json();
        let body = json!({"model": "oai/fake", "previous_response_id": first["id"], "input": null});
        let items = output(&fixture.baton.post(PATH, &body).await.expect(200).json());
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[0]["content"][0]["text"], "hi");
        let seen = fixture.openai_saw("fake")[1].json();
        let roles: Vec<String> =
            seen["messages"].as_array().expect("messages").iter().map(|one| text(&one["role"])).collect();
        assert_eq!(roles, ["user", "assistant", "user"], "{seen}");
    });
}

#[test]
fn a_summary_opens_for_its_own_key_alone() {
    run(async {
        let mut fixture = Fixture::start("auth: { required: true }\nresponses: { store: never }").await;
        let mine = create(&fixture.baton, &["mine"]).await;
        let other = create(&fixture.baton, &["other"]).await;
        fixture.baton.set_key(&mine.secret);
        let body = json!({"model": "echo/hello", "input": talk()});
        // Nothing is stored for it, and so it is there where nothing is.
        let items = output(&fixture.baton.post("/responses/compact", &body).await.expect(200).json());
        let input = json!([{"role": "user", "content": "hi"}, items.last().expect("an item")]);
        let body = json!({"model": "echo/hello", "input": input});
        fixture.baton.responses(&body).await.expect(200);
        fixture.baton.set_key(&other.secret);
        let error = fixture.baton.responses(&body).await.openai_error(400);
        assert_eq!(error["param"], "input[1].encrypted_content");
        let error = fixture.baton.post(PATH, &body).await.openai_error(400);
        assert_eq!(error["param"], "input[1].encrypted_content");
    });
}

#[test]
fn what_a_provider_compacted_goes_to_that_provider_alone() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let foreign = json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAABpM0Yj"});
        let input = json!([{"role": "user", "content": "hi"}, foreign]);
        let body = json!({"model": format!("resp/{test}/fake"), "input": input});
        fixture.baton.responses(&body).await.expect(200);
        assert_eq!(fixture.openai_saw(&format!("{test}/fake"))[0].json()["input"], input);
        for model in [json!("oai/fake"), json!("ant/fake"), json!(["resp/fake", "ant/fake"])] {
            for path in ["/v1/responses", PATH] {
                let error = fixture.baton.post(path, &json!({"model": model, "input": input})).await;
                assert_eq!(error.openai_error(400)["param"], "input[1].encrypted_content", "{model} {path}");
            }
        }
        // A provider that speaks this dialect itself compacts in its own way.
        let test = unique();
        let body = json!({"model": format!("resp/{test}/fake"), "input": talk()});
        fixture.baton.post(PATH, &body).await;
        let seen = fixture.openai_saw(&format!("{test}/fake"));
        assert!(seen[0].path.ends_with("/responses/compact"), "{}", seen[0].path);
        assert_eq!(seen[0].json()["input"], talk());
    });
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    run(async {
        let fixture = scripted(vec![says(" ")], Vec::new(), "").await;
        for (members, path) in [
            (json!({}), "input"),
            (json!({"input": 5}), "input"),
            (json!({"input": [5]}), "input[0]"),
            (json!({"input": "hi", "previous_response_id": "resp_1"}), "previous_response_id"),
        ] {
            let mut body = json!({"model": "oai/fake"});
            body.as_object_mut().expect("an object").extend(members.as_object().cloned().expect("an object"));
            let error = fixture.baton.post(PATH, &body).await.openai_error(400);
            assert_eq!(error["param"], path, "{body}");
        }
        // A summary that is none is not handed out.
        let body = json!({"model": "oai/fake", "input": "hi"});
        assert_eq!(fixture.baton.post(PATH, &body).await.openai_error(502)["code"], "upstream_malformed");
        let baton: &Baton = &fixture.baton;
        assert_eq!(baton.get(PATH).await.header("allow"), "POST");
    });
}
