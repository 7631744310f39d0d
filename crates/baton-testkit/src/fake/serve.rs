//! Takes requests, checks them, lets the script decide, and writes the answer.
//!
//! - [`accept`] is the accept loop, [`Shared`] what all connections know.
//! - **Invariant:** every request that arrived whole is in the log before its answer begins, and
//!   its entry gets an ending whichever side ends it.

mod answer;
mod body;

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::model::{Ask, Usage, answer};
use super::script::{Fault, Pace, Said, Script, Step};
use super::seen::{Credential, Ending, Seen, public, secret};
use super::shape;
use super::wire::{ResetSwitch, Wire};
use super::{anthropic, control, openai, responses};
use answer::Answer;
use body::Pieces;

/// Requests larger than this are not read to their end.
const LARGEST: usize = 256 << 20;

/// What the connections of one fake share.
pub(crate) struct Shared {
    started: Instant,
    state: Mutex<State>,
    changed: Notify,
    ids: AtomicU64,
}

struct State {
    script: Script,
    seen: Vec<Seen>,
    /// How many had come in when the script was replaced.
    scripted_at: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seen", &self.state().seen.len()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(script: Script) -> Self {
        let state = Mutex::new(State { script, seen: Vec::new(), scripted_at: 0 });
        Self { started: Instant::now(), state, changed: Notify::new(), ids: AtomicU64::new(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, step: Step) {
        self.state().script.steps.push_back(step);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    pub(crate) async fn until(&self, condition: impl Fn(&[Seen]) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(&self.state().seen) {
                return;
            }
            changed.await;
        }
    }

    /// Takes new steps, or tells what was seen since the last ones came.
    fn control(&self, parts: &http::request::Parts, body: &[u8], id: u64) -> Option<Answer> {
        let mut state = self.state();
        if !state.script.controlled {
            return None;
        }
        let (status, told) = match (&parts.method, parts.uri.path()) {
            (&Method::POST, control::SCRIPT) => match control::steps(body) {
                Ok(steps) => {
                    state.script.steps = steps;
                    state.scripted_at = state.seen.len();
                    (200, json!({}))
                }
                Err(error) => (400, json!({ "error": error })),
            },
            (&Method::GET, control::SEEN) => {
                let since = state.seen.get(state.scripted_at..).unwrap_or_default();
                (200, control::seen(since, state.script.steps.len()))
            }
            _ => return None,
        };
        Some(Answer::json(status, Vendor::OpenAi, &told, id))
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.state().seen.get_mut(number) {
            change(seen);
        }
        self.changed.notify_waiters();
    }

    /// How the next request for `model` is answered.
    fn next(&self, model: &str) -> Turn {
        let mut state = self.state();
        let pace = state.script.pace.of_model(model);
        match state.script.steps.pop_front() {
            Some(Step::Answer(pace)) => Turn::Model { pace, said: None, usage: None },
            Some(Step::Say(said)) => Turn::Model { pace, said: Some(said), usage: None },
            Some(Step::Counted(said, usage)) => Turn::Model { pace, said: Some(said), usage: Some(usage) },
            Some(Step::Fault(fault)) => Turn::Fault { pace, fault },
            Some(Step::Raw(raw)) => Turn::Raw(raw),
            None => match Fault::named(model) {
                Some(fault) => Turn::Fault { pace, fault },
                None => Turn::Model { pace, said: None, usage: None },
            },
        }
    }
}

/// What the script says about one request.
enum Turn {
    Model { pace: Pace, said: Option<Said>, usage: Option<Usage> },
    Fault { pace: Pace, fault: Fault },
    Raw(super::script::Raw),
}

/// One entry of the log, open until it is dropped.
struct Exchange {
    shared: Arc<Shared>,
    number: usize,
    began: Instant,
    ending: Ending,
}

impl Exchange {
    fn sent(&self, bytes: usize) {
        self.shared.change(self.number, |seen| seen.sent += u64::try_from(bytes).unwrap_or(0));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let ended = (self.ending, self.began.elapsed());
        self.shared.change(self.number, |seen| seen.ended = Some(ended));
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script hangs up")
    }
}

impl std::error::Error for HangUp {}

/// Serves connections until dropped.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    // A connection without the option is slower, not wrong.
    drop(stream.set_nodelay(true));
    let switch = ResetSwitch::default();
    let wire = TokioIo::new(Wire::new(stream, switch.clone()));
    let service = service_fn(|request| exchange(request, Arc::clone(&shared), switch.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(wire, service);
    // How an exchange ended stands in the log; the connection's own error adds nothing to it.
    drop(connection.await);
}

async fn exchange(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    switch: ResetSwitch,
) -> Result<Response<Pieces>, HangUp> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_unread) => return Err(HangUp),
    };
    let mut exchange = record(&shared, &parts, body.clone());
    let id = shared.ids.fetch_add(1, Ordering::Relaxed);
    let answer = respond(&shared, &parts, &body, id).await;
    match answer {
        Answer::HangUp => {
            exchange.ending = Ending::CutByScript;
            Err(HangUp)
        }
        Answer::Silence => match std::future::pending::<Infallible>().await {},
        Answer::Reply(reply) => {
            shared.change(exchange.number, |seen| seen.status = Some(reply.status));
            reply.into_response(exchange, switch).map_err(|_unwritable| HangUp)
        }
    }
}

fn record(shared: &Arc<Shared>, parts: &http::request::Parts, body: Bytes) -> Exchange {
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let mut state = shared.state();
    let number = state.seen.len();
    state.seen.push(Seen {
        number,
        at: shared.started.elapsed(),
        method: parts.method.to_string(),
        path,
        headers: public(&parts.headers),
        credential: secret(&parts.headers).map(Credential::of),
        body,
        status: None,
        sent: 0,
        ended: None,
    });
    drop(state);
    shared.changed.notify_waiters();
    Exchange { shared: Arc::clone(shared), number, began: Instant::now(), ending: Ending::ClosedByPeer }
}

/// Which vendor's words an answer is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vendor {
    OpenAi,
    /// OpenAI again, in the other of its two formats.
    Responses,
    Anthropic,
}

/// A request that was read.
enum Question {
    Chat(Ask),
    Response(Box<responses::Asked>),
    Message(Ask),
}

impl Question {
    const fn ask(&self) -> &Ask {
        match self {
            Self::Chat(ask) | Self::Message(ask) => ask,
            Self::Response(asked) => &asked.ask,
        }
    }

    const fn vendor(&self) -> Vendor {
        match self {
            Self::Chat(_) => Vendor::OpenAi,
            Self::Response(_) => Vendor::Responses,
            Self::Message(_) => Vendor::Anthropic,
        }
    }
}

async fn respond(shared: &Shared, parts: &http::request::Parts, body: &Bytes, id: u64) -> Answer {
    if let Some(told) = shared.control(parts, body, id) {
        return told;
    }
    let path = parts.uri.path();
    let anthropic = path.starts_with("/v1/messages") || parts.headers.contains_key("anthropic-version");
    let vendor = if anthropic { Vendor::Anthropic } else { Vendor::OpenAi };
    if let Some(refused) = check_head(shared, parts, vendor, id) {
        return refused;
    }
    match (&parts.method, path) {
        (&Method::GET, path) if path == "/v1/models" || path.starts_with("/v1/models/") => {
            models(shared, vendor, path, id)
        }
        (&Method::POST, _) => {
            let body = match shape::document(body) {
                Ok(body) => body,
                Err(error) => return Answer::broken_json(vendor, &error, id),
            };
            post(shared, path, &body, id).await
        }
        _ => Answer::no_such_path(vendor, &parts.method, path, id),
    }
}

/// What can be refused before the body is looked at.
fn check_head(shared: &Shared, parts: &http::request::Parts, vendor: Vendor, id: u64) -> Option<Answer> {
    let given = secret(&parts.headers);
    let wanted = shared.state().script.key.clone();
    let known = given.is_some_and(|given| wanted.is_none_or(|wanted| wanted == given));
    if !known {
        return Some(Answer::unauthorized(vendor, id));
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if vendor == Vendor::Anthropic && text("anthropic-version").is_none_or(str::is_empty) {
        return Some(Answer::anthropic_error(400, "anthropic-version: header is required", id));
    }
    let is_json = text("content-type").is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    (parts.method == Method::POST && !is_json).then(|| Answer::wrong_media_type(vendor, id))
}

async fn post(shared: &Shared, path: &str, body: &serde_json::Value, id: u64) -> Answer {
    let vendor = match path {
        "/v1/responses" => Vendor::Responses,
        path if path.starts_with("/v1/messages") => Vendor::Anthropic,
        _ => Vendor::OpenAi,
    };
    let turns = shared.state().script.turns;
    let read = match path {
        "/v1/chat/completions" => openai::read(body).map(Question::Chat),
        "/v1/responses" => responses::read(body).map(Box::new).map(Question::Response),
        "/v1/messages" => anthropic::read(body, turns).map(Question::Message),
        "/v1/messages/count_tokens" => match anthropic::read_count(body, turns) {
            Ok(ask) => return Answer::counted(&ask, id),
            Err(misfit) => return Answer::misfit(vendor, &misfit, id),
        },
        "/v1/embeddings" => match openai::read_embed(body) {
            Ok(embed) => return Answer::embedded(&embed, id),
            Err(misfit) => return Answer::misfit(vendor, &misfit, id),
        },
        _ => return Answer::no_such_path(vendor, &Method::POST, path, id),
    };
    let question = match read {
        Ok(question) => question,
        Err(misfit) => return Answer::misfit(vendor, &misfit, id),
    };
    let ask = question.ask();
    let served = shared.state().script.serves(&ask.model);
    if !served {
        return Answer::no_such_model(vendor, &ask.model, id);
    }
    let turn = shared.next(&ask.model);
    if let Turn::Model { pace, .. } | Turn::Fault { pace, .. } = &turn
        && pace.latency > Duration::ZERO
    {
        tokio::time::sleep(pace.latency).await;
    }
    match turn {
        Turn::Model { pace, said, usage } => {
            let mut reply = answer(question.ask(), said.as_ref());
            reply.usage = usage.unwrap_or(reply.usage);
            Answer::of_model(&question, &reply, pace, None, id)
        }
        Turn::Fault { pace, fault } => Answer::of_fault(&question, fault, pace, id),
        Turn::Raw(raw) => Answer::raw(raw),
    }
}

/// The list, or one model; its name may hold a slash, raw or encoded.
fn models(shared: &Shared, vendor: Vendor, path: &str, id: u64) -> Answer {
    let mut names = ["fake-small", "fake-large", "vendor/fake-nested"].map(str::to_owned).to_vec();
    names.extend(shared.state().script.models.iter().cloned());
    match path.strip_prefix("/v1/models/") {
        None if vendor == Vendor::Anthropic => Answer::json(200, vendor, &anthropic::models(&names), id),
        None => Answer::json(200, vendor, &openai::models(&names), id),
        Some(name) => {
            let name = name.replace("%2F", "/").replace("%2f", "/");
            if !shared.state().script.serves(&name) {
                return Answer::no_such_model(vendor, &name, id);
            }
            match vendor {
                Vendor::Anthropic => Answer::json(200, vendor, &anthropic::model(&name), id),
                Vendor::OpenAi | Vendor::Responses => Answer::json(200, vendor, &openai::model(&name), id),
            }
        }
    }
}
