//! What a provider keeps for its client: passed on to that provider alone, refused with its path elsewhere.

use serde_json::{Value, json};

use crate::blackbox::support::{Fixture, run, unique};

/// A member that names something that is kept, and the path under which it is refused.
fn named() -> [(Value, &'static str); 4] {
    [
        (json!({"input": "hi", "previous_response_id": "resp_fake1"}), "previous_response_id"),
        (json!({"input": "hi", "conversation": "conv_fake1"}), "conversation"),
        (json!({"input": "hi", "prompt": {"id": "pmpt_1", "version": "2"}}), "prompt"),
        (
            json!({"input": [{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "msg_1"}]}),
            "input[1].id",
        ),
    ]
}

#[test]
fn it_goes_to_the_one_provider_as_it_was_sent() {
    run(async {
        let fixture = Fixture::shared().await;
        for (members, _) in named() {
            for models in
                [json!({"model": "resp/T/fake"}), json!({"models": ["resp/T/fault-500", "resp/T/fake"]})]
            {
                let test = unique();
                let models = models.to_string().replace('T', &test);
                let mut body = members.clone();
                let models: Value = serde_json::from_str(&models).expect("JSON");
                body.as_object_mut()
                    .expect("an object")
                    .extend(models.as_object().cloned().expect("an object"));
                fixture.baton.responses(&body).await.expect(200);
                let sent = fixture.openai_saw(&format!("{test}/fake"))[0].json();
                for (key, value) in members.as_object().expect("an object") {
                    assert_eq!(&sent[key], value, "{body}");
                }
            }
        }
    });
}

#[test]
fn a_provider_that_keeps_its_answers_makes_them_in_the_background_itself() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let body = json!({"model": format!("resp/{test}/fake"), "input": "hi", "background": true});
        let answer = fixture.baton.responses(&body).await.expect(200);
        assert_eq!(fixture.openai_saw(&format!("{test}/fake"))[0].json()["background"], true);
        let digits = answer.header("x-request-id").trim_start_matches("req_").to_owned();
        assert_ne!(answer.json()["id"], json!(format!("resp_{digits}")), "the id is the provider's");
    });
}

#[test]
fn it_is_refused_with_its_path_elsewhere() {
    run(async {
        let fixture = Fixture::shared().await;
        for (members, path) in named() {
            for models in [
                json!("oai/fake"),
                json!("ant/fake"),
                json!("echo/hello"),
                json!(["resp/fake", "oai/fake"]),
                json!(["resp/fake", "resp/fake-b"]),
            ] {
                for stream in [false, true] {
                    let mut body = members.clone();
                    body["model"] = models.clone();
                    body["stream"] = json!(stream);
                    let error = fixture.baton.responses(&body).await.openai_error(400);
                    assert_eq!(error["param"], path, "{body}: {error}");
                    assert!(error["message"].to_string().contains(path.split('.').next().expect("a word")));
                }
            }
            let mut body = members.clone();
            body["models"] = json!(["resp/fake", "ant/fake"]);
            let error = fixture.baton.responses(&body).await.openai_error(400);
            assert_eq!(error["param"], path, "{body}: {error}");
        }
    });
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    run(async {
        let fixture = Fixture::shared().await;
        for (members, path) in [
            (json!({}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": null}), "input"),
            (json!({"input": 5}), "input"),
            (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role"),
            (json!({"input": [{"role": "user"}]}), "input[0].content"),
            (json!({"input": [{"role": "user", "content": [{"text": "x"}]}]}), "input[0].content[0].type"),
            (json!({"input": [{"type": "function_call", "call_id": "c"}]}), "input[0].name"),
            (json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input[0].call_id"),
            (json!({"input": "hi", "instructions": 5}), "instructions"),
            (json!({"input": "hi", "tools": [{"name": "f"}]}), "tools[0].type"),
            (json!({"input": "hi", "tools": [{"type": "function"}]}), "tools[0].name"),
            (json!({"input": "hi", "tool_choice": "maybe"}), "tool_choice"),
            (json!({"input": "hi", "text": {"format": {"type": "json_schema"}}}), "text.format.name"),
            (json!({"input": "hi", "temperature": "hot"}), "temperature"),
            (json!({"input": "hi", "stream": "yes"}), "stream"),
            (json!({"input": "hi", "max_output_tokens": -1}), "max_output_tokens"),
        ] {
            for provider in ["echo/hello", "oai/fake", "ant/fake"] {
                let mut body = members.clone();
                body["model"] = json!(provider);
                let error = fixture.baton.responses(&body).await.openai_error(400);
                assert_eq!(error["param"], path, "{body}: {error}");
            }
        }
    });
}
