//! A provider of chat completions that answers `/responses` too: its clients of responses are passed on to that, and
//! what they may read again is kept here.

use baton_testkit::fake::{FakeUpstream, Script, Seen, Step};
use serde_json::{Value, json};

use super::final_response;
use crate::blackbox::handoff::{calls, says, transfer};
use crate::blackbox::support::{Baton, Fixture, run, unique};
use crate::blackbox::v1::answers::{WAYS, chat, greeting, message, response, text};

/// A server with a provider `both`, which is the fake of `oai` and answers in both of its formats.
async fn fixture() -> Fixture {
    scripted(Vec::new(), "").await
}

/// The same with these turns, and with more of a configuration.
async fn scripted(steps: Vec<Step>, more: &str) -> Fixture {
    let script = steps.into_iter().fold(Script::default(), Script::then);
    let openai = FakeUpstream::start(script).await.expect("a fake upstream");
    let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
    let both = format!(
        "providers:\n  both: {{ dialect: openai_chat, responses: true, base_url: \"{}\", api_key: sk-fake-openai }}",
        openai.base_url()
    );
    let config = Fixture::config(&openai, &anthropic, more).replacen("providers:", &both, 1);
    let baton = Baton::start(&config).await;
    Fixture { baton, openai, anthropic }
}

#[track_caller]
fn only(seen: Vec<Seen>) -> Seen {
    let [only] = seen.try_into().expect("one request");
    only
}

#[test]
fn each_client_is_answered_in_its_own_dialect() {
    run(async {
        let fixture = fixture().await;
        for stream in WAYS {
            let test = unique();
            let model = format!("both/{test}/fake");
            let body = json!({"model": model, "input": "hi", "truncation": "auto"});
            let (answer, said) = response(&fixture.baton, body, stream).await;
            assert_eq!(said.text, greeting("hi"));
            let seen = only(fixture.openai_saw(&format!("{test}/fake")));
            assert!(seen.path.ends_with("/responses"), "{}", seen.path);
            // Only this API has such a member.
            assert_eq!(seen.json()["truncation"], "auto");
            assert_eq!(answer.header("x-baton-provider"), "both");
            // Everybody else comes to its chat completions.
            let test = unique();
            let model = format!("both/{test}/fake");
            let messages = json!([{"role": "user", "content": "hi"}]);
            let (_, said) = chat(&fixture.baton, json!({"model": model, "messages": messages}), stream).await;
            assert_eq!(said.text, greeting("hi"));
            let (_, said) =
                message(&fixture.baton, json!({"model": model, "messages": messages}), stream).await;
            assert_eq!(said.text, greeting("hi"));
            for seen in fixture.openai_saw(&format!("{test}/fake")) {
                assert!(seen.path.ends_with("/chat/completions"), "{}", seen.path);
            }
        }
    });
}

#[test]
fn what_it_answers_is_kept_here_under_an_id_of_ours() {
    run(async {
        let fixture = fixture().await;
        for stream in WAYS {
            for (next, path) in [("both", "/responses"), ("ant", "/messages")] {
                let test = unique();
                let body = json!({"model": format!("both/{test}/fake"), "input": "one", "stream": stream});
                let answer = fixture.baton.responses(&body).await.expect(200);
                // Of a stream every event is looked at: all name one response.
                let first = if stream { final_response(answer.text()) } else { answer.json() };
                let id = text(&first["id"]);
                let digits = answer.header("x-request-id").trim_start_matches("req_").to_owned();
                assert_eq!(id, format!("resp_{digits}"), "{stream}");
                assert_eq!((&first["store"], &first["previous_response_id"]), (&json!(true), &Value::Null));
                let read = fixture.baton.get(&format!("/v1/responses/{id}")).await.expect(200).json();
                assert_eq!(read["output"], first["output"], "{stream}");
                // The provider's own id is in the record.
                let told = fixture.baton.run_of(&answer).await["decisions"][0]["outcome"].clone();
                assert!(told["upstream_id"].is_string() && told["upstream_id"] != json!(id), "{told}");
                // Any model goes on from it.
                let model = format!("{next}/{test}-b/fake");
                let body = json!({"model": model, "input": "two", "previous_response_id": id});
                let (_, said) = response(&fixture.baton, body, stream).await;
                assert_eq!(said.text, greeting("two"), "{stream} {next}");
                let name = format!("{test}-b/fake");
                let seen = only(if next == "ant" {
                    fixture.anthropic_saw(&name)
                } else {
                    fixture.openai_saw(&name)
                });
                assert!(seen.path.ends_with(path), "{}", seen.path);
                let sent = seen.json();
                assert!(sent.get("previous_response_id").is_none(), "{sent}");
                let list = if next == "ant" { &sent["messages"] } else { &sent["input"] };
                assert_eq!(list.as_array().map(Vec::len), Some(3), "{sent}");
            }
        }
    });
}

#[test]
fn what_the_provider_keeps_stays_its_own() {
    run(async {
        let fixture = fixture().await;
        for stream in WAYS {
            let test = unique();
            let body = json!({"model": format!("both/{test}/fake"), "input": "hi", "previous_response_id": "resp_fake1", "stream": stream});
            let answer = fixture.baton.responses(&body).await.expect(200);
            let whole = if stream { final_response(answer.text()) } else { answer.json() };
            let digits = answer.header("x-request-id").trim_start_matches("req_").to_owned();
            assert_ne!(text(&whole["id"]), format!("resp_{digits}"));
            let seen = only(fixture.openai_saw(&format!("{test}/fake"))).json();
            assert_eq!(seen["previous_response_id"], "resp_fake1");
        }
    });
}

#[test]
fn what_is_stored_nowhere_here_says_so() {
    run(async {
        let fixture = scripted(Vec::new(), "responses: { store: never }").await;
        for stream in WAYS {
            let test = unique();
            let body = json!({"model": format!("both/{test}/fake"), "input": "hi", "stream": stream});
            let answer = fixture.baton.responses(&body).await.expect(200);
            let whole = if stream { final_response(answer.text()) } else { answer.json() };
            assert_eq!(whole["store"], false, "{stream}: {whole}");
            fixture.baton.get(&format!("/v1/responses/{}", text(&whole["id"]))).await.openai_error(404);
            // What the client sent is the provider's to see.
            let seen = only(fixture.openai_saw(&format!("{test}/fake")));
            assert!(seen.path.ends_with("/responses") && seen.json().get("store").is_none(), "{seen:?}");
        }
    });
}

#[test]
fn a_hand_over_between_two_of_its_dialect_is_not_translated() {
    run(async {
        for (pool, translated) in [
            (["both/fake", "resp/fake-b"], Value::Null),
            (["both/fake", "oai/fake-b"], json!("openai_responses->openai_chat")),
        ] {
            let turns = vec![calls(vec![transfer(pool[1], "r")]), says("Then that.")];
            let fixture = scripted(turns, "").await;
            let answer = fixture.baton.responses(&json!({"model": pool, "input": "go"})).await.expect(200);
            let run = fixture.baton.run_of(&answer).await;
            let decisions = run["decisions"].as_array().expect("decisions").clone();
            let handed = decisions.iter().find(|one| one["kind"] == "handoff").expect("a hand-over");
            assert_eq!(handed["handoff"]["translated"], translated, "{handed}");
        }
    });
}

#[test]
fn a_failure_of_it_is_taken_over_by_others() {
    run(async {
        let fixture = fixture().await;
        for stream in WAYS {
            for (first, second) in [("both/fault-500", "ant/fake"), ("oai/fault-500", "both/fake")] {
                let body = json!({"models": [first, second], "input": "hi"});
                let (answer, said) = response(&fixture.baton, body, stream).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), (greeting("hi").as_str(), second));
                assert_eq!(answer.header("x-baton-attempts"), "2");
            }
        }
    });
}

#[test]
fn the_switch_is_for_providers_of_chat_completions() {
    run(async {
        let home = crate::blackbox::support::Home::new(
            "providers:\n  a: { dialect: anthropic_messages, base_url: \"http://127.0.0.1:9\", responses: true }\n",
        );
        let said = crate::blackbox::support::baton(&home, &["check"]).await;
        assert_ne!(said.code, 0, "{said:?}");
        assert!(
            (said.out + &said.err)
                .contains("only a provider of `openai_chat` can have `/responses` beside it")
        );
    });
}
