//! What an upstream does not take: changed on the way there and back, lowered and put down, or refused with the place
//! in the client's own body.

use baton_testkit::fake::{End, Raw, Step};
use serde_json::{Value, json};

use super::answers::{Said, WAYS, chat, message, response, text};
use crate::blackbox::support::{Answer, Fixture, run, sent, unique};

const MODELS: &str = "
models:
  oai/fake-short: { max_output_tokens: 50 }
  ant/fake-short: { max_output_tokens: 50 }
  resp/fake-short: { max_output_tokens: 50 }
";

/// Providers that speak each of the dialects.
const ALL: [&str; 3] = ["oai", "ant", "resp"];

/// The surfaces, each with the provider that speaks its dialect.
const CLIENTS: [(Client, &str); 3] =
    [(Client::Chat, "oai"), (Client::Messages, "ant"), (Client::Responses, "resp")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Chat,
    Messages,
    Responses,
}

impl Client {
    fn body(self, model: &str, messages: &Value) -> Value {
        match self {
            Self::Chat => json!({"model": model, "messages": messages}),
            Self::Messages => json!({"model": model, "messages": messages, "max_tokens": 40}),
            Self::Responses => json!({"model": model, "input": messages, "store": false}),
        }
    }

    fn tool(self, name: &str) -> Value {
        let schema = json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]});
        match self {
            Self::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
            Self::Messages => json!({"name": name, "input_schema": schema}),
            Self::Responses => json!({"type": "function", "name": name, "parameters": schema}),
        }
    }

    /// A question, the call of a tool with this id, and its result.
    fn history(self, name: &str, id: &str) -> Value {
        match self {
            Self::Chat => json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": "{\"q\":\"x\"}"}}]},
                {"role": "tool", "tool_call_id": id, "content": "found"},
            ]),
            Self::Messages => json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": {"q": "x"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "found"}]},
            ]),
            Self::Responses => json!([
                {"role": "user", "content": "go"},
                {"type": "function_call", "call_id": id, "name": name, "arguments": "{\"q\":\"x\"}"},
                {"type": "function_call_output", "call_id": id, "output": "found"},
            ]),
        }
    }

    async fn asks(self, fixture: &Fixture, body: Value, stream: bool) -> (Answer, Said) {
        match self {
            Self::Chat => chat(&fixture.baton, body, stream).await,
            Self::Messages => message(&fixture.baton, body, stream).await,
            Self::Responses => response(&fixture.baton, body, stream).await,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// The error, and the path that it names.
    #[track_caller]
    fn error(self, answer: &Answer, status: u16) -> (Value, Value) {
        if self == Self::Messages {
            // Beside Anthropic's own members.
            return (answer.anthropic_error(status), answer.json()["param"].clone());
        }
        let error = answer.openai_error(status);
        let param = error["param"].clone();
        (error, param)
    }

    const fn limit(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "max_tokens",
            Self::Responses => "max_output_tokens",
        }
    }
}

fn asked(fixture: &Fixture, provider: &str, model: &str) -> Vec<Value> {
    let seen = if provider == "ant" { fixture.anthropic_saw(model) } else { fixture.openai_saw(model) };
    seen.iter().map(baton_testkit::fake::Seen::json).collect()
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// Everything in a body that is called `name`.
fn names(body: &Value, found: &mut Vec<String>) {
    match body {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(name) if key == "name" => found.push(name.clone()),
                    value => names(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn a_tools_name_that_is_not_taken_stays_the_clients_own() {
    run(async {
        let fixture = Fixture::shared().await;
        let long = format!("search_{}", "x".repeat(100));
        for (client, own) in CLIENTS {
            // Chat and responses have clients with dots in names; Anthropic's take longer ones than OpenAI.
            let name = if client == Client::Messages { long.as_str() } else { "files.read" };
            for provider in ALL.into_iter().filter(|provider| *provider != own) {
                // OpenAI's two formats take the same: each says itself what it does not.
                for stream in WAYS {
                    let test = unique();
                    let model = format!("{test}/fake");
                    let case = format!("{client:?} {provider} {stream}");
                    let mut body = client.body(&format!("{provider}/{model}"), &user("go"));
                    body["tools"] = json!([client.tool(name)]);
                    let (_, said) = client.asks(&fixture, body.clone(), stream).await;
                    assert_eq!(said.calls.len(), 1, "{case}: {said:?}");
                    assert_eq!(said.calls[0].0, name, "{case}");
                    // The next turn has the call in its history, under the name that the client knows.
                    let (Value::Array(_), id) = (&body["tools"], said.call_ids[0].clone()) else {
                        panic!("{case}")
                    };
                    let key = if client == Client::Responses { "input" } else { "messages" };
                    body[key] = client.history(name, &id);
                    client.asks(&fixture, body, stream).await;
                    let sent = asked(&fixture, provider, &model);
                    assert_eq!(sent.len(), 2, "{case}");
                    let mut found = Vec::new();
                    sent.iter().for_each(|sent| names(sent, &mut found));
                    found.dedup();
                    let [sent] = found.as_slice() else { panic!("{case}: {found:?}") };
                    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    assert!(sent != name && sent.len() <= 64 && sent.bytes().all(plain), "{case}: {sent}");
                }
            }
        }
    });
}

#[test]
fn ids_that_are_too_long_for_a_dialect_fit_when_they_arrive() {
    run(async {
        let fixture = Fixture::shared().await;
        let long = format!("call.{}", "y".repeat(90));
        for (client, own) in CLIENTS {
            for provider in ALL.into_iter().filter(|provider| *provider != own) {
                let test = unique();
                let model = format!("{test}/fake");
                let mut body = client.body(&format!("{provider}/{model}"), &client.history("look", &long));
                body["tools"] = json!([client.tool("look")]);
                client.asks(&fixture, body, false).await;
                let [sent] = asked(&fixture, provider, &model).try_into().expect("one request");
                let sent: Value = sent;
                assert!(!sent.to_string().contains(&long), "{client:?} {provider}: {sent}");
            }
        }
    });
}

#[test]
fn a_limit_above_the_models_is_lowered_and_put_down() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for (client, _) in CLIENTS {
            for provider in ALL {
                let case = format!("{client:?} {provider}");
                let mut body = client.body(&format!("{provider}/fake-short"), &user("hi"));
                body[client.limit()] = json!(64_000);
                let (answer, _) = client.asks(&fixture, body.clone(), false).await;
                let all = asked(&fixture, provider, "fake-short");
                let answered = all.last().expect("a request");
                let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
                let limit: Vec<&Value> = limits.iter().filter_map(|key| answered.get(key)).collect();
                assert_eq!(limit, [&json!(50)], "{case}: {answered}");
                let told = fixture.baton.run_of(&answer).await["decisions"][0]["dropped_parameters"].clone();
                assert_eq!(told, json!([format!("{}>50", client.limit())]), "{case}");
                // One that fits stays as it is.
                body[client.limit()] = json!(50);
                let (answer, _) = client.asks(&fixture, body.clone(), false).await;
                let told = fixture.baton.run_of(&answer).await["decisions"][0]["dropped_parameters"].clone();
                assert!(told.is_null(), "{case}: {told}");
                // Who is strict gets an error, by every way to be strict.
                body[client.limit()] = json!(51);
                for (key, value) in
                    [("baton", json!({"strict": true})), ("provider", json!({"require_parameters": true}))]
                {
                    let mut strict = body.clone();
                    strict[key] = value;
                    let answer = fixture.baton.post(client.path(), &strict).await;
                    let (error, param) = client.error(&answer, 400);
                    assert!(text(&error["message"]).contains("less output"), "{case}: {error}");
                    assert_eq!(param, client.limit(), "{case}");
                }
                let request = fixture.baton.posting(client.path(), &body).header("x-baton-strict", "true");
                let (_, param) = client.error(&sent(request).await, 400);
                assert_eq!(param, client.limit(), "{case}");
            }
        }
    });
}

/// An error as a vendor sends it.
fn refuses(body: &Value) -> Step {
    Step::Raw(Raw {
        status: 400,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        pieces: vec![body.to_string().into_bytes()],
        then: End::Whole,
    })
}

fn of_anthropic(message: &str) -> Step {
    refuses(&json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}))
}

fn of_openai(param: &str) -> Step {
    let error = json!({"message": "Invalid schema.", "type": "invalid_request_error", "param": param, "code": "invalid_function_parameters"});
    refuses(&json!({ "error": error }))
}

#[test]
fn a_schema_that_an_upstream_refuses_is_named_in_the_clients_words() {
    run(async {
        let fixture = Fixture::start("").await;
        for (client, provider, step, named) in [
            (
                Client::Chat,
                "ant",
                of_anthropic("tools.0.custom.input_schema: JSON schema is invalid."),
                "tools[0].function.parameters",
            ),
            (
                Client::Responses,
                "ant",
                of_anthropic("tools.0.custom.input_schema: JSON schema is invalid."),
                "tools[0].parameters",
            ),
            (Client::Messages, "oai", of_openai("tools[0].function.parameters"), "tools[0].input_schema"),
            (Client::Responses, "oai", of_openai("tools[0].function.parameters"), "tools[0].parameters"),
            (Client::Messages, "resp", of_openai("tools[0].parameters"), "tools[0].input_schema"),
            (Client::Chat, "resp", of_openai("tools[0].parameters"), "tools[0].function.parameters"),
            (Client::Chat, "ant", of_anthropic("output_config.format.schema: no"), "response_format"),
            (Client::Responses, "ant", of_anthropic("output_config.format.schema: no"), "text.format"),
            (Client::Messages, "oai", of_openai("response_format"), "output_config.format"),
        ] {
            let case = format!("{client:?} {provider} {named}");
            if provider == "ant" {
                fixture.anthropic.then(step);
            } else {
                fixture.openai.then(step);
            }
            let mut body = client.body(&format!("{provider}/fake"), &user("hi"));
            body["tools"] = json!([client.tool("look")]);
            let answer = fixture.baton.post(client.path(), &body).await;
            let (error, param) = client.error(&answer, 400);
            assert_eq!(param, named, "{case}: {error}");
            assert_eq!(answer.header("x-baton-attempts"), "1", "{case}");
        }
    });
}

#[test]
fn an_image_over_the_limit_goes_to_who_takes_it_else_its_place_is_told() {
    run(async {
        let fixture = Fixture::start("").await;
        let over = || {
            of_anthropic(
                "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
            )
        };
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
        fixture.anthropic.then(over());
        let body = Client::Chat.body("ant/fake", &image);
        let (error, param) = Client::Chat.error(&fixture.baton.chat(&body).await, 400);
        assert_eq!(param, "messages", "{error}");
        assert!(text(&error["message"]).contains("image exceeds 5 MB"), "{error}");
        fixture.anthropic.then(over());
        let mut body = body;
        body["fallbacks"] = json!(["oai/fake"]);
        let (answer, said) = Client::Chat.asks(&fixture, body, false).await;
        assert_eq!((said.model.as_str(), answer.header("x-baton-attempts")), ("oai/fake", "2"));
    });
}
