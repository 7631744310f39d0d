//! The ends of background runs are told to a webhook: signed, again where it was not taken, and by whoever is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{SHORT_LEASE, queued, reaches, read, started};
use crate::blackbox::support::{Baton, Home, run, until};

/// What the messages are signed with.
const KEY: &[u8; 32] = b"a receiver's key, of 32 bytes...";

/// One message, as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Value,
}

/// What becomes of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manner {
    #[default]
    Takes,
    /// As one whose own store is away does.
    Refuses,
    Hangs,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    manner: Manner,
    /// Messages that came, taken or not.
    came: Vec<Message>,
    taken: Vec<Message>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver that checks every signature, until it is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    address: std::net::SocketAddr,
    state: Shared,
    _serving: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let state = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/hook", post(receive)).with_state(state.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { address, state, _serving: serving }
    }

    /// As the file names it.
    pub(super) fn settings(&self) -> String {
        format!("{{ url: \"http://{}/hook\", secret: \"whsec_{}\" }}", self.address, STANDARD.encode(KEY))
    }

    /// The message of this run, once it was taken.
    pub(super) async fn message(&self, run: &str) -> Message {
        until(&format!("{run} is told"), async || {
            self.state.lock().taken.iter().find(|message| message.body["data"]["id"] == run).cloned()
        })
        .await
    }

    fn behave(&self, manner: Manner) {
        self.state.lock().manner = manner;
    }

    fn came(&self) -> Vec<Message> {
        self.state.lock().came.clone()
    }
}

/// Takes a message whose signature is right, as a library for Standard Webhooks would.
async fn receive(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [format!("{id}.{at}.").as_bytes(), &body].concat();
    let said = header("webhook-signature").strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY);
    if said.is_none_or(|said| hmac::verify(&key, &signed, &said).is_err()) {
        return StatusCode::UNAUTHORIZED;
    }
    let message = Message { id: id.to_owned(), body: serde_json::from_slice(&body).expect("JSON") };
    let manner = {
        let mut inner = state.lock();
        inner.came.push(message.clone());
        if inner.manner == Manner::Takes {
            inner.taken.push(message);
        }
        inner.manner
    };
    match manner {
        Manner::Takes => StatusCode::NO_CONTENT,
        Manner::Refuses => StatusCode::SERVICE_UNAVAILABLE,
        Manner::Hangs => std::future::pending().await,
    }
}

fn config(receiver: &Receiver) -> String {
    format!("runs: {{ webhook: {} }}", receiver.settings())
}

#[test]
fn the_end_of_a_background_run_is_told_signed_and_without_content() {
    run(async {
        let receiver = Receiver::start().await;
        let baton = Baton::start(&config(&receiver)).await;
        let own = started(&baton, json!({"model": "echo/parrot", "input": "not told"})).await;
        let body = json!({"model": "echo/parrot", "input": "a secret", "metadata": {"order": "7"}});
        let id = queued(&baton, body).await;
        let ended = reaches(&baton, &id, "completed").await;
        assert!(ended["output"]["text"].as_str().is_some_and(|text| text.contains("secret")), "{ended}");
        let message = receiver.message(&id).await;
        assert_eq!(message.body["type"], "run.completed");
        let data = &message.body["data"];
        for member in
            ["id", "object", "status", "created_at", "ended_at", "metadata", "turns_consumed", "usage"]
        {
            assert_eq!(data[member], ended[member], "{member} of {data}");
        }
        assert_eq!((&data["error_code"], &data["metadata"]["order"]), (&Value::Null, &json!("7")));
        assert!(!message.body.to_string().contains("secret"), "what was said stays: {message:?}");
        // Each status is told by its name, and a run whose caller waits is not.
        let failed = queued(&baton, json!({"model": "echo/fail-500", "input": "x"})).await;
        let failed = (receiver.message(&failed).await, read(&baton, &failed).await);
        assert_eq!(failed.0.body["type"], "run.failed", "{failed:?}");
        assert_eq!(failed.0.body["data"]["error_code"], failed.1["error"]["code"], "{failed:?}");
        assert!(receiver.came().iter().all(|message| message.body["data"]["id"] != own["id"]));
    });
}

#[test]
fn what_was_not_taken_is_told_again_under_the_same_id() {
    run(async {
        let receiver = Receiver::start().await;
        receiver.behave(Manner::Refuses);
        let baton = Baton::start(&config(&receiver)).await;
        let id = queued(&baton, json!({"model": "echo/hello", "input": "hi"})).await;
        until("it is told", async || (!receiver.came().is_empty()).then_some(())).await;
        receiver.behave(Manner::Takes);
        let taken = receiver.message(&id).await;
        let came = receiver.came();
        assert!(came.len() >= 2 && came.iter().all(|message| message.id == taken.id), "{came:?}");
        // Once it was taken, there is nothing left of it.
        let next = queued(&baton, json!({"model": "echo/hello", "input": "hi"})).await;
        receiver.message(&next).await;
        let of_first = |all: Vec<Message>| all.iter().filter(|message| message.id == taken.id).count();
        assert_eq!(of_first(receiver.came()), of_first(came));
    });
}

#[test]
fn a_webhook_that_hangs_holds_neither_runs_nor_the_end_and_is_told_later() {
    run(async {
        for (signal, environment) in [(Signal::TERM, &[][..]), (Signal::KILL, &SHORT_LEASE[..])] {
            let receiver = Receiver::start().await;
            receiver.behave(Manner::Hangs);
            let home = Home::new(&config(&receiver));
            let mut first = Baton::start_in(home.clone(), environment).await;
            let mut ids = Vec::new();
            for _ in 0..20 {
                ids.push(queued(&first, json!({"model": "echo/hello", "input": "hi"})).await);
            }
            for id in &ids {
                reaches(&first, id, "completed").await;
            }
            until("it hangs", async || (!receiver.came().is_empty()).then_some(())).await;
            first.signal(signal);
            let code = first.ended().await;
            assert_eq!(code, (signal == Signal::TERM).then_some(0), "it ends in order where it is asked to");
            receiver.behave(Manner::Takes);
            let second = Baton::start_in(home, environment).await;
            let mut told = BTreeMap::new();
            for id in &ids {
                told.insert(receiver.message(id).await.id, id);
            }
            assert_eq!(told.len(), ids.len(), "each end is news of its own");
            drop(second);
        }
    });
}
