//! What a vendor puts beside a call it makes, a thought signature: it comes back to that vendor, and no other
//! gets it. Ids that a vendor finds too long are shortened for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use baton_testkit::fake::{FakeUpstream, Fault, Script, Step};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Surface, WAYS, asked, says, tool, transfer, user};
use crate::blackbox::support::{Answer, Baton, Fixture, chunks, run};

/// What Google's models say next, as messages, and what they were sent. The fakes are as strict as OpenAI is;
/// this one takes signatures, as Google does.
#[derive(Clone, Debug, Default)]
struct Google(Arc<Mutex<(VecDeque<Value>, Vec<Value>)>>);

impl Google {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Value>, Vec<Value>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It says this.
    fn says(&self, text: &str) {
        self.lock().0.push_back(json!({"role": "assistant", "content": text}));
    }

    /// It makes this call, and signs it.
    fn calls(&self, (name, arguments): (String, Value)) {
        let call = json!({
            "index": 0, "id": "function-call-1", "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()},
            "extra_content": signature(),
        });
        self.lock().0.push_back(json!({"role": "assistant", "tool_calls": [call]}));
    }

    fn saw(&self) -> Vec<Value> {
        self.lock().1.clone()
    }
}

async fn answer(State(google): State<Google>, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).expect("a request");
    let stream = body["stream"] == true;
    let said = {
        let mut inner = google.lock();
        inner.1.push(body);
        inner.0.pop_front().expect("a script")
    };
    let finish = if said.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
    let (kind, body) = if stream {
        let chunk = |choice: Value| {
            let chunk = json!({"id": "g1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice]});
            format!("data: {chunk}\n\n")
        };
        let said = chunk(json!({"index": 0, "delta": said, "finish_reason": null}));
        let end = chunk(json!({"index": 0, "delta": {}, "finish_reason": finish}));
        ("text/event-stream", format!("{said}{end}data: [DONE]\n\n"))
    } else {
        let mut message = json!({"role": "assistant", "content": null, "refusal": null});
        message.as_object_mut().expect("an object").extend(said.as_object().expect("an object").clone());
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
        let body = json!({"id": "g1", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice]});
        ("application/json", body.to_string())
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// A server that has OpenAI, at the first fake, and Google under their own names, and others.
struct Vendors {
    baton: Baton,
    openai: FakeUpstream,
    anthropic: FakeUpstream,
    google: Google,
    _serving: JoinSet<()>,
}

impl Vendors {
    async fn start() -> Self {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let google = Google::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/v1/chat/completions", post(answer)).with_state(google.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        let known = format!(
            "  openai: {{ base_url: \"{}\", api_key: sk-fake-known }}\n  \
             gemini: {{ base_url: \"http://{address}/v1\", api_key: sk-fake-google }}\n  \
             proxy: {{ dialect: openai_chat, base_url: \"http://{address}/v1\", api_key: sk-fake-proxy }}\n  nowhere:",
            openai.base_url()
        );
        let config = Fixture::config(&openai, &anthropic, "").replace("  nowhere:", &known);
        Self { baton: Baton::start(&config).await, openai, anthropic, google, _serving: serving }
    }

    fn fake_of(&self, model: &str) -> &FakeUpstream {
        if model.starts_with("ant/") { &self.anthropic } else { &self.openai }
    }

    /// What was sent to a fake last.
    fn sent_to(&self, model: &str) -> Value {
        self.fake_of(model).seen().pop().expect("a request").json()
    }
}

fn signature() -> Value {
    json!({"google": {"thought_signature": "c2lnbmVk=="}})
}

/// The signatures of the calls in an upstream's request.
fn signatures(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().expect("messages").iter();
    let calls = messages.flat_map(|message| message["tool_calls"].as_array().cloned().unwrap_or_default());
    calls.filter_map(|call| call.get("extra_content").or(call.get("thought_signature")).cloned()).collect()
}

#[test]
fn a_hidden_calls_signature_comes_back_to_its_maker_and_reaches_nobody_else() {
    run(async {
        for target in ["openai/fake-b", "oai/fake-b", "ant/fake-b"] {
            for way in WAYS {
                let vendors = Vendors::start().await;
                vendors.google.calls(transfer(target, "r"));
                vendors.fake_of(target).then(Step::Fault(Fault::ServerError));
                vendors.google.says("Myself then.");
                let body = json!({"model": ["gemini/fake", target], "messages": user("go")});
                let (_, said) = asked(&vendors.baton, way, body).await;
                let case = format!("{target} {way:?}");
                assert_eq!(
                    (said.text.as_str(), said.model.as_str()),
                    ("Myself then.", "gemini/fake"),
                    "{case}"
                );
                let away = vendors.sent_to(target).to_string();
                assert!(!away.contains("c2lnbmVk") && away.contains("function-call-1"), "{case}: {away}");
                let back = vendors.google.saw();
                assert_eq!(back.len(), 2, "{case}");
                assert_eq!(signatures(&back[1]), [signature()], "{case}: {back:?}");
            }
        }
    });
}

#[test]
fn a_hidden_calls_signature_survives_the_views_of_a_history() {
    run(async {
        for way in WAYS {
            let vendors = Vendors::start().await;
            vendors.google.calls(("transfer_to_nobody".to_owned(), json!({})));
            vendors.google.calls(transfer("ant/fake-b", "r"));
            vendors.anthropic.then(Step::Fault(Fault::ServerError));
            vendors.google.says("Myself then.");
            let body = json!({
                "model": ["gemini/fake", "ant/fake-b"], "messages": user("go"),
                "handoff_config": {"history": {"last_n": 4}},
            });
            let (_, said) = asked(&vendors.baton, way, body).await;
            assert_eq!(said.text, "Myself then.", "{way:?}");
            let back = vendors.google.saw();
            assert_eq!(signatures(&back[2]), [signature(), signature()], "{way:?}: {back:?}");
        }
    });
}

/// The first call that a chat client was given, with everything beside it.
fn given(answer: &Answer, stream: bool) -> Value {
    if !stream {
        return answer.json()["choices"][0]["message"]["tool_calls"][0].clone();
    }
    let mut call = json!({});
    for chunk in chunks(answer.text()) {
        for fragment in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let mut arguments = call["function"]["arguments"].as_str().unwrap_or_default().to_owned();
            arguments += fragment["function"]["arguments"].as_str().unwrap_or_default();
            for (key, value) in fragment.as_object().expect("a fragment") {
                if key != "function" || call.get("function").is_none() {
                    call[key] = value.clone();
                }
            }
            call["function"]["arguments"] = json!(arguments);
        }
    }
    call
}

#[test]
fn a_visible_calls_signature_goes_to_the_client_and_comes_back_to_its_maker_alone() {
    run(async {
        for target in ["openai/fake-b", "ant/fake-b"] {
            for stream in [false, true] {
                let way = (Surface::Chat, stream);
                let vendors = Vendors::start().await;
                let body = |messages: Value, model: Value| json!({"model": model, "messages": messages, "tools": [tool(way.0, "weather")]});
                let pool = json!(["gemini/fake", target]);
                vendors.google.calls(("weather".to_owned(), json!({"city": "Paris"})));
                let (answer, said) = asked(&vendors.baton, way, body(user("Weather?"), pool.clone())).await;
                let case = format!("{target} {stream}: {}", answer.text());
                assert_eq!(said.calls, [("weather".to_owned(), json!({"city": "Paris"}))], "{case}");
                let mut call = given(&answer, stream);
                assert_eq!(call["extra_content"], signature(), "{case}");
                call.as_object_mut().expect("a call").remove("index");
                let mut messages = user("Weather?");
                let all = messages.as_array_mut().expect("messages");
                all.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
                all.push(json!({"role": "tool", "tool_call_id": said.call_ids[0], "content": "mild"}));
                // To its maker, in the pool and alone.
                for model in [pool, json!("gemini/fake")] {
                    vendors.google.says("It is mild.");
                    asked(&vendors.baton, way, body(messages.clone(), model)).await;
                    let seen = vendors.google.saw().pop().expect("a request");
                    assert_eq!(signatures(&seen), [signature()], "{case} {seen}");
                }
                // To another.
                vendors.fake_of(target).then(says("It is mild."));
                asked(&vendors.baton, way, body(messages, json!(target))).await;
                let seen = vendors.sent_to(target).to_string();
                assert!(!seen.contains("c2lnbmVk") && seen.contains("mild"), "{case} {seen}");
            }
        }
    });
}

#[test]
fn a_signature_under_its_other_name_is_taken_from_what_openai_is_sent_and_from_nobody_elses() {
    run(async {
        let call = json!({
            "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"},
            "thought_signature": "c2lnbmVk==",
        });
        for stream in [false, true] {
            for (model, kept) in [("openai/fake", false), ("gemini/fake", true), ("proxy/fake", true)] {
                let vendors = Vendors::start().await;
                vendors.google.says("x");
                vendors.openai.then(says("x"));
                let body = json!({"model": model, "messages": [
                    {"role": "user", "content": "thought_signature"},
                    {"role": "assistant", "tool_calls": [call], "extra_content": signature()},
                    {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
                ]});
                asked(&vendors.baton, (Surface::Chat, stream), body).await;
                let seen = if kept { vendors.google.saw().remove(0) } else { vendors.sent_to(model) };
                assert_eq!(
                    seen.to_string().matches("c2lnbmVk").count(),
                    if kept { 2 } else { 0 },
                    "{model} {stream}: {seen}"
                );
                assert_eq!(seen["messages"][0]["content"], "thought_signature", "{model} {stream}");
            }
        }
    });
}

#[test]
fn ids_beyond_forty_bytes_are_shortened_for_openai_alone_and_stay_together() {
    run(async {
        let id = "chatcmpl-tool-0123456789abcdef0123456789abcdef";
        let call = json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}});
        for stream in [false, true] {
            for (model, kept) in [("openai/fake", false), ("gemini/fake", true), ("proxy/fake", true)] {
                let vendors = Vendors::start().await;
                vendors.google.says("x");
                vendors.openai.then(says("x"));
                let body = json!({"model": model, "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": id, "content": "mild"},
                ]});
                asked(&vendors.baton, (Surface::Chat, stream), body).await;
                let seen = if kept { vendors.google.saw().remove(0) } else { vendors.sent_to(model) };
                let (called, answered) =
                    (&seen["messages"][1]["tool_calls"][0]["id"], &seen["messages"][2]["tool_call_id"]);
                assert_eq!(called, answered, "{model} {stream}: {seen}");
                assert_eq!(called == id, kept, "{model} {stream}: {seen}");
                assert!(kept || called.as_str().is_some_and(|id| id.len() <= 40), "{model} {stream}: {seen}");
            }
        }
    });
}
