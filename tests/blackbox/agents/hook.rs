//! A webhook's receiver that answers as it is told, and keeps what it saw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the receiver does with the messages that come.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// Takes them, and says this.
    With(Value),
    /// Takes them without a word.
    Nothing,
    /// Fails.
    Status(u16),
    /// Says something that is no answer.
    Text(&'static str),
    /// Never answers.
    Hangs,
}

/// It listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    state: Shared,
    _serving: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    answers: Answers,
    seen: Vec<(HeaderMap, Value)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    pub(crate) async fn start(answers: Answers) -> Self {
        let state = Shared(Arc::new(Mutex::new(Inner { answers, seen: Vec::new() })));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/hook", post(take)).with_state(state.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { address, state, _serving: serving }
    }

    /// The members of a webhook in the file.
    pub(crate) fn settings(&self) -> String {
        format!("url: 'http://{}/hook', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", self.address)
    }

    /// What came.
    pub(crate) fn seen(&self) -> Vec<(HeaderMap, Value)> {
        self.state.lock().seen.clone()
    }
}

async fn take(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let answers = {
        let mut inner = state.lock();
        inner.seen.push((headers, serde_json::from_slice(&body).unwrap_or_default()));
        inner.answers.clone()
    };
    match answers {
        Answers::With(value) => value.to_string().into_response(),
        Answers::Nothing => StatusCode::NO_CONTENT.into_response(),
        Answers::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answers::Text(text) => text.into_response(),
        Answers::Hangs => std::future::pending().await,
    }
}
