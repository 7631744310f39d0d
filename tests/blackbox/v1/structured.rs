//! Answers of a schema from models that know none: by a tool that the client never sees, held against the schema,
//! and asked for once more where they do not follow it.

use baton_testkit::fake::{Said as Script, Step};
use serde_json::{Value, json};

use super::answers::{Said, WAYS, chat, message, response, text};
use crate::blackbox::support::{Answer, Fixture, events, run};

const MODELS: &str = "
models:
  oai/fake-plain: { capabilities: { structured_output: false } }
  ant/fake-plain: { capabilities: { structured_output: false, tools: true } }
  resp/fake-plain: { capabilities: { structured_output: false } }
  oai/fake-dull: { capabilities: { structured_output: false } }
  ant/fake-dull: { capabilities: { structured_output: false } }
";

/// Providers that speak each of the dialects.
const ALL: [&str; 3] = ["oai", "ant", "resp"];

/// The surfaces, with what their clients call the end of an answer.
const CLIENTS: [(Client, &str); 3] =
    [(Client::Chat, "stop"), (Client::Messages, "end_turn"), (Client::Responses, "stop")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Chat,
    Messages,
    Responses,
}

impl Client {
    /// A question whose answer should be of a schema, with more members.
    fn body(self, model: &Value, schema: &Value, more: &Value) -> Value {
        let asked = json!([{"role": "user", "content": "Where is it?"}]);
        let mut body = match self {
            Self::Chat => json!({"messages": asked, "response_format":
                {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": true}}}),
            Self::Messages => {
                json!({"messages": asked, "output_config": {"format": {"type": "json_schema", "schema": schema}}})
            }
            Self::Responses => json!({"input": asked, "store": false, "text": {"format":
                {"type": "json_schema", "name": "place", "schema": schema, "strict": true}}}),
        };
        body["model"] = model.clone();
        for (key, value) in more.as_object().expect("members") {
            body[key] = value.clone();
        }
        body
    }

    async fn asks(self, fixture: &Fixture, body: Value, stream: bool) -> (Answer, Said) {
        match self {
            Self::Chat => chat(&fixture.baton, body, stream).await,
            Self::Messages => message(&fixture.baton, body, stream).await,
            Self::Responses => response(&fixture.baton, body, stream).await,
        }
    }

    /// The same, whatever becomes of it.
    async fn tries(self, fixture: &Fixture, mut body: Value, stream: bool) -> Answer {
        body["stream"] = json!(stream);
        match self {
            Self::Chat => fixture.baton.chat(&body).await,
            Self::Messages => {
                body["max_tokens"] = json!(200);
                fixture.baton.messages(&body).await
            }
            Self::Responses => fixture.baton.responses(&body).await,
        }
    }

    /// How a tool of the answer is called: as the client named it, where its dialect has a name for it.
    const fn tool(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "place",
            Self::Messages => "output",
        }
    }
}

fn place() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"], "additionalProperties": false})
}

/// The next request is answered by a call of this tool with these arguments.
fn calls(tool: &str, arguments: Value) -> Step {
    Step::Say(Script::Calls(vec![(tool.to_owned(), arguments)]))
}

fn says(text: &str) -> Step {
    Step::Say(Script::Text(text.to_owned()))
}

fn next(fixture: &Fixture, provider: &str, step: Step) {
    if provider == "ant" { fixture.anthropic.then(step) } else { fixture.openai.then(step) }
}

/// The last requests that an upstream got: so many for this question.
fn asked(fixture: &Fixture, provider: &str, model: &str, count: usize) -> Vec<Value> {
    let seen = if provider == "ant" { fixture.anthropic_saw(model) } else { fixture.openai_saw(model) };
    seen.iter().skip(seen.len() - count).map(baton_testkit::fake::Seen::json).collect()
}

async fn decisions(fixture: &Fixture, answer: &Answer) -> Vec<Value> {
    fixture.baton.run_of(answer).await["decisions"].as_array().cloned().expect("decisions")
}

#[test]
fn a_model_without_schemas_answers_by_a_tool_that_nobody_sees() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for provider in ALL {
            for (client, done) in CLIENTS {
                for stream in WAYS {
                    let case = format!("{client:?} {provider} {stream}");
                    // The fakes call the tool that is demanded, with what its schema allows.
                    let body = client.body(&json!(format!("{provider}/fake-plain")), &place(), &json!({}));
                    let (answer, said) = client.asks(&fixture, body, stream).await;
                    let value: Value = serde_json::from_str(&said.text).expect("an answer in JSON");
                    assert!(value["city"].is_string(), "{case}: {said:?}");
                    assert_eq!((said.calls.len(), said.finish.as_str()), (0, done), "{case}: {said:?}");
                    assert!(said.tokens.is_some(), "{case}: {said:?}");
                    assert!(!answer.text().contains(r#""tool_use""#), "{case}");
                    let sent = asked(&fixture, provider, "fake-plain", 1);
                    let [sent] = sent.as_slice() else { panic!("{case}: {sent:?}") };
                    let sent = sent.to_string();
                    assert!(sent.contains("final answer") && !sent.contains("json_schema"), "{case}: {sent}");
                    let decisions = decisions(&fixture, &answer).await;
                    assert_eq!(decisions.len(), 1, "{case}");
                    assert!(decisions[0]["dropped_parameters"].is_null(), "{case}: {}", decisions[0]);
                    assert_eq!(decisions[0]["outcome"]["finish_reason"], "stop", "{case}");
                }
            }
        }
    });
}

#[test]
fn what_is_no_object_comes_as_it_was_asked_for() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        let schema = json!({"type": "array", "items": {"type": "integer"}});
        for provider in ALL {
            for stream in WAYS {
                next(&fixture, provider, calls("place", json!({"value": [1, 2]})));
                let body = Client::Chat.body(&json!(format!("{provider}/fake-plain")), &schema, &json!({}));
                let (_, said) = Client::Chat.asks(&fixture, body, stream).await;
                let value: Value = serde_json::from_str(&said.text).expect("an answer in JSON");
                assert_eq!(value, json!([1, 2]), "{provider} {stream}");
            }
        }
    });
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_once_more() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for provider in ALL {
            for (client, done) in CLIENTS {
                next(&fixture, provider, calls(client.tool(), json!({"town": "Oslo"})));
                next(&fixture, provider, calls(client.tool(), json!({"city": "Oslo"})));
                let case = format!("{client:?} {provider}");
                let body = client.body(&json!(format!("{provider}/fake-plain")), &place(), &json!({}));
                let (answer, said) = client.asks(&fixture, body, false).await;
                assert_eq!(
                    (said.text.replace(' ', "").as_str(), said.finish.as_str()),
                    (r#"{"city":"Oslo"}"#, done),
                    "{case}"
                );
                assert_eq!(answer.header("x-baton-attempts"), "2", "{case}");
                assert_eq!(answer.header("x-baton-reason"), "schema_repair", "{case}");
                let sent = asked(&fixture, provider, "fake-plain", 2);
                let [first, again] = sent.as_slice() else { panic!("{case}: {sent:?}") };
                assert!(!first.to_string().contains("does not fit"), "{case}");
                assert!(
                    again.to_string().contains("does not fit the schema: `city` must be there"),
                    "{case}: {again}"
                );
                let told = decisions(&fixture, &answer).await;
                let story: Vec<(String, String, String)> = told
                    .iter()
                    .map(|it| {
                        let outcome = &it["outcome"];
                        let fault =
                            outcome["error_class"].as_str().or(outcome["fault"].as_str()).unwrap_or("-");
                        (
                            text(&it["kind"]),
                            text(&it["reason"]["code"]),
                            format!("{} {fault}", text(&outcome["status"])),
                        )
                    })
                    .collect();
                let [(kind, _, first), (again, why, second)] = story.as_slice() else {
                    panic!("{case}: {story:?}")
                };
                assert_eq!((kind.as_str(), first.as_str()), ("select", "failed malformed_answer"), "{case}");
                assert_eq!(
                    (again.as_str(), why.as_str(), second.as_str()),
                    ("retry", "schema_repair", "ok -"),
                    "{case}"
                );
                // What the model said is in no record.
                assert!(!json!(told).to_string().contains("Oslo"), "{case}");
                assert!(!json!(told).to_string().contains("city"), "{case}");
            }
        }
    });
}

#[test]
fn who_does_not_follow_it_twice_is_passed_over_and_never_banned() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for (client, _) in CLIENTS {
            let twice = || {
                next(&fixture, "oai", calls(client.tool(), json!({"city": 7})));
                next(&fixture, "oai", calls(client.tool(), json!({"city": 8})));
            };
            // More often than a breaker would suffer.
            for _ in 0..6 {
                twice();
                let body = client.body(&json!("oai/fake-dull"), &place(), &json!({}));
                let answer = client.tries(&fixture, body, false).await;
                let error = if client == Client::Messages {
                    answer.anthropic_error(502)
                } else {
                    answer.openai_error(502)
                };
                assert!(text(&error["message"]).contains("`city` must be of type string"), "{error}");
                assert_eq!(answer.header("x-should-retry"), "false", "{client:?}");
                assert_eq!(answer.header("x-baton-attempts"), "2", "{client:?}");
                let told = decisions(&fixture, &answer).await;
                assert_eq!(told.last().map(|it| text(&it["kind"])), Some("stop".to_owned()), "{client:?}");
            }
            twice();
            let mut body = client.body(&json!("oai/fake-dull"), &place(), &json!({}));
            body["fallbacks"] = json!(["ant/fake-plain"]);
            let (answer, said) = client.asks(&fixture, body, false).await;
            assert_eq!(said.model, "ant/fake-plain", "{client:?}");
            assert_eq!(answer.header("x-baton-attempts"), "3", "{client:?}");
        }
    });
}

#[test]
fn a_stream_is_asked_for_again_while_nothing_of_it_was_shown() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for provider in ALL {
            for (client, done) in CLIENTS {
                let case = format!("{client:?} {provider}");
                next(&fixture, provider, says("It is in Oslo."));
                next(&fixture, provider, calls(client.tool(), json!({"city": "Oslo"})));
                let body = client.body(&json!(format!("{provider}/fake-plain")), &place(), &json!({}));
                let (answer, said) = client.asks(&fixture, body, true).await;
                assert_eq!(
                    (said.text.replace(' ', "").as_str(), said.finish.as_str()),
                    (r#"{"city":"Oslo"}"#, done),
                    "{case}"
                );
                assert!(!answer.text().contains("It is in"), "{case}");
                let told = decisions(&fixture, &answer).await;
                assert_eq!(
                    told.last().map(|it| text(&it["reason"]["code"])),
                    Some("schema_repair".to_owned()),
                    "{case}"
                );
            }
        }
    });
}

#[test]
fn a_stream_that_was_shown_and_does_not_fit_ends_with_an_error() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for provider in ALL {
            for (client, _) in CLIENTS {
                let case = format!("{client:?} {provider}");
                next(&fixture, provider, calls(client.tool(), json!({"city": ""})));
                let body = client.body(&json!(format!("{provider}/fake-plain")), &place(), &json!({}));
                let answer = client.tries(&fixture, body, true).await.expect(200);
                let all = events(answer.text());
                let last = all.last().expect("an end");
                assert!(
                    last.data.contains("malformed_answer") || last.data.contains("does not follow"),
                    "{case}: {answer:?}"
                );
                assert!(
                    answer.text().contains("`city` must be within its `minLength`"),
                    "{case}: {}",
                    answer.text()
                );
                assert!(
                    !answer.text().contains("[DONE]") && !answer.text().contains("message_stop"),
                    "{case}"
                );
                let told = decisions(&fixture, &answer).await;
                assert_eq!(told.len(), 1, "{case}");
                assert_eq!(told[0]["outcome"]["status"], "failed", "{case}");
            }
        }
    });
}

#[test]
fn the_clients_own_tools_go_before_an_answer() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        let function = json!({"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}});
        let tools = json!({"tools": [{"type": "function", "function": function}]});
        for provider in ALL {
            for stream in WAYS {
                let case = format!("{provider} {stream}");
                let ask = || Client::Chat.body(&json!(format!("{provider}/fake-plain")), &place(), &tools);
                next(&fixture, provider, calls("look", json!({"q": "it"})));
                let (_, said) = Client::Chat.asks(&fixture, ask(), stream).await;
                assert_eq!(said.calls, [("look".to_owned(), json!({"q": "it"}))], "{case}");
                assert_eq!((said.text.as_str(), said.finish.as_str()), ("", "tool_calls"), "{case}");
                // The answer, once the model has what it looked for.
                next(&fixture, provider, calls("place", json!({"city": "Oslo"})));
                let (_, said) = Client::Chat.asks(&fixture, ask(), stream).await;
                assert_eq!(
                    (said.text.replace(' ', "").as_str(), said.finish.as_str()),
                    (r#"{"city":"Oslo"}"#, "stop"),
                    "{case}"
                );
            }
        }
    });
}

#[test]
fn where_no_tool_can_give_it_that_is_said() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        let several = Client::Chat.body(&json!("oai/fake-plain"), &place(), &json!({"n": 2}));
        let error = fixture.baton.chat(&several).await.openai_error(400);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("no_structured_output"), &json!("response_format"))
        );
        // A call of the client's own tool is demanded: it is no answer, and the schema is for answers.
        let function = json!({"name": "look", "parameters": {"type": "object", "properties": {}}});
        let demanded =
            json!({"tools": [{"type": "function", "function": function}], "tool_choice": "required"});
        let body = Client::Chat.body(&json!("ant/fake-plain"), &place(), &demanded);
        let (answer, said) = Client::Chat.asks(&fixture, body.clone(), false).await;
        assert_eq!(said.calls.len(), 1, "{said:?}");
        assert_eq!(decisions(&fixture, &answer).await[0]["dropped_parameters"], json!(["response_format"]));
        let mut strict = body;
        strict["baton"] = json!({"strict": true});
        let error = fixture.baton.chat(&strict).await.openai_error(400);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("unsupported_parameter"), &json!("response_format"))
        );
    });
}

#[test]
fn in_a_pool_whoever_has_the_conversation_answers_by_it() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for pool in [
            ["oai/fake-plain", "ant/fake-dull"],
            ["ant/fake-plain", "oai/fake-dull"],
            ["oai/fake-plain", "oai/fake-dull"],
        ] {
            for (client, done) in CLIENTS {
                for stream in WAYS {
                    let case = format!("{pool:?} {client:?} {stream}");
                    let provider = |model: &str| model.split_once('/').expect("a provider").0.to_owned();
                    let slug = pool[1].rsplit('/').next().expect("a name").replace('-', "_");
                    next(
                        &fixture,
                        &provider(pool[0]),
                        calls(&format!("transfer_to_{slug}"), json!({"reason": "r"})),
                    );
                    next(&fixture, &provider(pool[1]), calls(client.tool(), json!({"city": "Oslo"})));
                    let body = client.body(&json!(pool), &place(), &json!({}));
                    let (answer, said) = client.asks(&fixture, body, stream).await;
                    assert_eq!(said.model, pool[1], "{case}: {}", answer.text());
                    assert_eq!(
                        (said.text.replace(' ', "").as_str(), said.finish.as_str()),
                        (r#"{"city":"Oslo"}"#, done),
                        "{case}"
                    );
                    assert_eq!(said.calls.len(), 0, "{case}: {said:?}");
                }
            }
        }
    });
}
