//! Responses that are stored: read again, gone on from, deleted, and never another key's.

use reqwest::Method;
use serde_json::{Value, json};

use super::final_response;
use crate::blackbox::keys::{create, holds};
use crate::blackbox::support::{Answer, Baton, Fixture, run, sent, unique};
use crate::blackbox::v1::answers::{WAYS, response, text};

/// Asks, and gives the response object of the answer.
async fn ask(baton: &Baton, body: Value, stream: bool) -> Value {
    let (answer, _) = response(baton, body, stream).await;
    if stream { final_response(answer.text()) } else { answer.json() }
}

async fn read(baton: &Baton, id: &Value) -> Answer {
    baton.get(&format!("/v1/responses/{}", text(id))).await
}

async fn delete(baton: &Baton, id: &Value) -> Answer {
    sent(baton.request(Method::DELETE, &format!("/v1/responses/{}", text(id)))).await
}

#[test]
fn a_response_is_there_as_it_was_answered_until_it_is_deleted() {
    run(async {
        let fixture = Fixture::shared().await;
        for model in ["oai/fake", "ant/fake", "echo/hello"] {
            for stream in WAYS {
                let whole = ask(&fixture.baton, json!({"model": model, "input": "hi"}), stream).await;
                assert_eq!((&whole["store"], &whole["previous_response_id"]), (&json!(true), &Value::Null));
                assert_eq!(
                    read(&fixture.baton, &whole["id"]).await.expect(200).json(),
                    whole,
                    "{model} {stream}"
                );
                let gone = delete(&fixture.baton, &whole["id"]).await.expect(200).json();
                assert_eq!(gone, json!({"id": whole["id"], "object": "response", "deleted": true}));
                read(&fixture.baton, &whole["id"]).await.openai_error(404);
                delete(&fixture.baton, &whole["id"]).await.openai_error(404);
            }
        }
    });
}

#[test]
fn a_conversation_goes_on_over_turns_with_tools_in_it() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in WAYS {
            let test = unique();
            let model = format!("oai/{test}/fake");
            let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
            let body = json!({"model": model, "input": "the weather", "tools": tools, "store": true});
            let first = ask(&fixture.baton, body, stream).await;
            let call = &first["output"][0];
            assert_eq!(call["type"], "function_call", "{first}");
            let result =
                json!([{"type": "function_call_output", "call_id": call["call_id"], "output": "mild"}]);
            let body =
                json!({"model": model, "input": result, "tools": tools, "previous_response_id": first["id"]});
            let second = ask(&fixture.baton, body, stream).await;
            assert_eq!(second["previous_response_id"], first["id"]);
            let said = text(&second["output"][0]["content"][0]["text"]);
            assert!(said.starts_with("The tool says"), "{second}");
            let body = json!({"model": model, "input": "and then?", "previous_response_id": second["id"]});
            let third = ask(&fixture.baton, body, stream).await;
            let seen = fixture.openai_saw(&format!("{test}/fake"))[2].json();
            let roles: Vec<String> =
                seen["messages"].as_array().expect("messages").iter().map(|one| text(&one["role"])).collect();
            assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"], "{seen}");
            assert_eq!(seen["messages"][1]["tool_calls"][0]["function"]["name"], "weather", "{seen}");
            assert_eq!(seen["messages"][2]["content"], "mild", "{seen}");
            assert_eq!(seen["messages"][3]["content"], said, "{seen}");
            assert_eq!(seen["messages"][4]["content"], "and then?", "{seen}");
            assert!(seen.get("previous_response_id").is_none() && seen.get("store").is_none(), "{seen}");

            let path = format!("/v1/responses/{}/input_items", text(&third["id"]));
            let all = fixture.baton.get(&format!("{path}?order=asc")).await.expect(200).json();
            let kinds: Vec<String> =
                all["data"].as_array().expect("a list").iter().map(|one| text(&one["type"])).collect();
            assert_eq!(kinds, ["message", "function_call", "function_call_output", "message", "message"]);
            let page = fixture.baton.get(&format!("{path}?limit=2")).await.expect(200).json();
            assert_eq!((&page["data"][0], &page["has_more"]), (&all["data"][4], &json!(true)));
            let next = format!("{path}?limit=100&after={}", text(&page["last_id"]));
            let next = fixture.baton.get(&next).await.expect(200).json();
            assert_eq!((&next["data"][2], &next["has_more"]), (&all["data"][0], &json!(false)));
            assert_eq!(
                fixture.baton.get(&format!("{path}?limit=0")).await.openai_error(400)["param"],
                "limit"
            );
            assert_eq!(
                fixture.baton.get(&format!("{path}?after=x")).await.openai_error(400)["param"],
                "after"
            );

            // What was said in a response that is deleted is in no conversation any more.
            delete(&fixture.baton, &first["id"]).await.expect(200);
            let body = json!({"model": model, "input": "hi", "previous_response_id": third["id"]});
            let error = fixture.baton.responses(&body).await.openai_error(400);
            assert_eq!(
                (&error["code"], &error["param"]),
                (&json!("previous_response_not_found"), &json!("previous_response_id"))
            );
        }
    });
}

#[test]
fn what_is_wrong_is_told_with_the_path_that_the_client_sent() {
    run(async {
        let fixture = Fixture::shared().await;
        let first = ask(&fixture.baton, json!({"model": "echo/hello", "input": "hi"}), false).await;
        let input = json!([{"role": "user", "content": "hi"}, {"role": "tool", "content": "x"}]);
        let body = json!({"model": "echo/hello", "input": input, "previous_response_id": first["id"]});
        assert_eq!(fixture.baton.responses(&body).await.openai_error(400)["param"], "input[1].role");
        for query in ["stream=true", "stream=x", "include=x", "include[]=x"] {
            let path = format!("/v1/responses/{}?{query}", text(&first["id"]));
            let error = fixture.baton.get(&path).await.openai_error(400);
            assert_eq!(error["param"], query.split('=').next().expect("a name"));
        }
        let path = format!("/v1/responses/{}/cancel", text(&first["id"]));
        fixture.baton.post(&path, &json!({})).await.openai_error(400);
        let put = fixture.baton.request(Method::PUT, &format!("/v1/responses/{}", text(&first["id"])));
        assert_eq!(sent(put).await.header("allow"), "GET, DELETE");
    });
}

#[test]
fn what_is_not_to_be_stored_is_not_there() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in WAYS {
            let first = ask(&fixture.baton, json!({"model": "echo/hello", "input": "hi"}), stream).await;
            let body = json!({"model": "echo/hello", "input": "hi", "store": false, "previous_response_id": first["id"]});
            let second = ask(&fixture.baton, body, stream).await;
            assert_eq!((&second["store"], &second["previous_response_id"]), (&json!(false), &first["id"]));
            read(&fixture.baton, &second["id"]).await.openai_error(404);
            let body = json!({"model": "echo/hello", "input": "hi", "previous_response_id": second["id"]});
            let error = fixture.baton.responses(&body).await.openai_error(400);
            assert_eq!(error["code"], "previous_response_not_found");
        }
    });
}

#[test]
fn storing_is_no_loss_and_a_strict_request_may_ask_for_it() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({"model": "ant/fake", "input": "hi", "store": true});
        let request = fixture.baton.posting("/v1/responses", &body).header("x-baton-strict", "true");
        let answer = sent(request).await.expect(200);
        let dropped = &fixture.baton.run_of(&answer).await["decisions"][0]["dropped_parameters"];
        assert!(!dropped.to_string().contains("store"), "{dropped}");
    });
}

#[test]
fn what_a_provider_wrote_is_its_own() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in WAYS {
            let whole = ask(&fixture.baton, json!({"model": "resp/fake", "input": "hi"}), stream).await;
            let id = text(&whole["id"]);
            assert!(id.starts_with("resp_fake"), "{whole}");
            read(&fixture.baton, &whole["id"]).await.openai_error(404);
            // An earlier response of Baton's goes to it as items.
            let test = unique();
            let first = ask(&fixture.baton, json!({"model": "oai/fake", "input": "hi"}), stream).await;
            let body = json!({"model": format!("resp/{test}/fake"), "input": "more", "previous_response_id": first["id"]});
            ask(&fixture.baton, body, stream).await;
            let seen = fixture.openai_saw(&format!("{test}/fake"))[0].json();
            assert_eq!(seen["input"].as_array().map(Vec::len), Some(3), "{seen}");
            assert!(seen.get("previous_response_id").is_none(), "{seen}");
        }
    });
}

#[test]
fn a_repeat_gets_the_same_response_and_stores_nothing_more() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in WAYS {
            let first = ask(&fixture.baton, json!({"model": "echo/hello", "input": "hi"}), stream).await;
            let body = json!({"model": "echo/hello", "input": "hi", "stream": stream, "previous_response_id": first["id"]});
            let key = unique();
            let repeat = || fixture.baton.posting("/v1/responses", &body).header("idempotency-key", &key);
            let once = sent(repeat()).await.expect(200);
            delete(&fixture.baton, &first["id"]).await.expect(200);
            let again = sent(repeat()).await.expect(200);
            assert_eq!((once.text(), again.header("idempotent-replayed")), (again.text(), "true"));
            let whole = if stream { final_response(once.text()) } else { once.json() };
            assert_eq!(read(&fixture.baton, &whole["id"]).await.expect(200).json(), whole);
        }
    });
}

#[test]
fn another_keys_response_is_not_there() {
    run(async {
        let mut server = Baton::start("auth: { required: true }").await;
        let (one, other) = (create(&server, &["one"]).await, create(&server, &["other"]).await);
        server.set_key(&one.secret);
        let whole = ask(&server, json!({"model": "echo/hello", "input": "hi"}), false).await;
        read(&server, &whole["id"]).await.expect(200);
        server.set_key(&other.secret);
        read(&server, &whole["id"]).await.openai_error(404);
        delete(&server, &whole["id"]).await.openai_error(404);
        let body = json!({"model": "echo/hello", "input": "hi", "previous_response_id": whole["id"]});
        let error = server.responses(&body).await.openai_error(400);
        assert_eq!(error["code"], "previous_response_not_found");
        let path = format!("/v1/responses/{}/input_items", text(&whole["id"]));
        server.get(&path).await.openai_error(404);
        let keyless = server.keyless(Method::GET, &format!("/v1/responses/{}", text(&whole["id"])));
        sent(keyless).await.openai_error(401);
    });
}

#[test]
fn it_outlives_a_restart_and_nothing_of_it_stands_in_the_open() {
    run(async {
        const CANARY: &str = "canary-stored-parsnip";
        let mut server = Baton::start("").await;
        let body = json!({"model": "echo/parrot", "input": CANARY, "instructions": CANARY});
        let whole = ask(&server, body, true).await;
        assert!(whole.to_string().contains(CANARY));
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.ended().await, Some(0));
        let files = server.home.files();
        for (path, bytes) in &files {
            assert!(!holds(bytes, CANARY.as_bytes()), "{} holds what was said", path.display());
        }
        // Ids are not sealed, so the search would have found it.
        let digits = text(&whole["id"]).replace("resp_", "");
        let bytes: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("text"), 16).expect("a digit"))
            .collect();
        let is_there = |content: &[u8]| holds(content, digits.as_bytes()) || holds(content, &bytes);
        assert!(files.iter().any(|(_, content)| is_there(content)));
        let server = Baton::start_in(server.home.clone(), &[]).await;
        assert_eq!(read(&server, &whole["id"]).await.expect(200).json(), whole);
        let body = json!({"model": "echo/parrot", "input": "more", "previous_response_id": whole["id"]});
        ask(&server, body, false).await;
    });
}

#[test]
fn a_gateway_that_never_stores_says_so() {
    run(async {
        let server = Baton::start("responses: { store: never }").await;
        for stream in WAYS {
            let whole =
                ask(&server, json!({"model": "echo/hello", "input": "hi", "store": true}), stream).await;
            assert_eq!(whole["store"], false);
            read(&server, &whole["id"]).await.openai_error(404);
            let body = json!({"model": "echo/hello", "input": "hi", "previous_response_id": whole["id"]});
            assert_eq!(server.responses(&body).await.openai_error(400)["param"], "previous_response_id");
        }
    });
}
