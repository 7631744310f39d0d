//! What operators ask a server: how other commands talk to the running one, here or elsewhere, and the same without one.
//!
//! The socket is in the data directory and only its owner may open it; who can, may do everything.
//! A command that finds no server takes the data directory itself and calls the same routes in
//! its own process. Over the network, keys of the role `admin` find a part of them under `/admin/v1`.
//!
//! - Start with [`router`] and [`over_the_network`] for the routes, [`Client`] for who asks them.
//! - **Invariant:** a route is not there over the network unless [`over_the_network`] has it: what reads, and what can be
//!   undone. What destroys, what the log is trusted by, and what trusts a stranger stays with whoever has the data
//!   directory.

mod client;
mod docs;
mod keys;
mod records;
pub(crate) mod remote;
mod targets;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path as UrlPath, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_access::{KeyRing, Principal};
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, Change, DecisionBody, Decisions, IdSource, Journal, Lookup,
    Record, Relay, RunBody,
};
use baton_engine::Engine;
use baton_model::{DecisionId, RunId};
use baton_state::responses::ResponseStore;
use baton_state::runs::RunStore;
use baton_tools::Registry;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::content::Contents;
use crate::core::Core;
use crate::signing::Signing;
use crate::versions::Versions;

pub(crate) use client::Client;
pub(crate) use docs::openapi;
pub(crate) use keys::{CreateKey, RotateKey};

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "control.sock";

/// What the routes work on.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    keys: Arc<KeyRing>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) store: Arc<dyn AuditStore>,
    pub(crate) queries: Arc<dyn AuditQueries>,
    pub(crate) upkeep: Arc<dyn AuditUpkeep>,
    pub(crate) signing: Arc<Signing>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) responses: Arc<dyn ResponseStore>,
    pub(crate) erasable_runs: Arc<dyn RunStore>,
    pub(crate) answers: Answers,
    pub(crate) engine: Arc<Engine>,
    pub(crate) versions: Arc<Versions>,
    pub(crate) tools: Registry,
    data_dir: Arc<Path>,
    pub(crate) ids: IdSource,
}

impl Control {
    pub(crate) fn new(core: &Core, engine: Arc<Engine>, data_dir: &Path) -> Self {
        Self {
            engine,
            data_dir: data_dir.into(),
            keys: Arc::clone(&core.keys),
            versions: Arc::clone(&core.versions),
            tools: core.tools.clone(),
            journal: Arc::clone(&core.journal),
            relay: Arc::clone(&core.relay),
            decisions: Arc::clone(&core.decisions),
            store: Arc::clone(&core.store),
            queries: Arc::clone(&core.queries),
            upkeep: Arc::clone(&core.upkeep),
            signing: Arc::clone(&core.signing),
            contents: Arc::clone(&core.contents),
            responses: Arc::clone(&core.responses),
            erasable_runs: Arc::clone(&core.erasable_runs),
            answers: Answers::default(),
            ids: core.ids.clone(),
        }
    }

    /// Lets an erasing let go of the answers that are kept for repeats; `forget` says how many there were.
    pub(crate) fn with_answers(mut self, forget: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.answers = Answers(Some(Arc::new(forget)));
        self
    }
}

/// The answers that a server keeps for repeats; none where no server runs.
#[derive(Clone, Default)]
pub(crate) struct Answers(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl Answers {
    pub(crate) fn forget(&self) -> u64 {
        self.0.as_ref().map_or(0, |forget| forget())
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Answers").field(&self.0.is_some()).finish()
    }
}

/// All routes: those of the control socket.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route(
            "/status",
            get(|| async { Json(json!({"pid": std::process::id(), "version": env!("CARGO_PKG_VERSION")})) }),
        )
        .route("/explain/{id}", get(explain))
        .route("/route", post(route))
        .merge(crate::audit::router())
        .merge(crate::mcp::router())
        .merge(remote_routes())
        .with_state(control)
}

/// The routes that administrators have over the network. What `/v1` and `/admin/v1` have of their own is not
/// repeated: chains of decisions, content, dry runs, models.
pub(crate) fn over_the_network(control: Control) -> Router {
    remote_routes().with_state(control)
}

fn remote_routes() -> Router<Control> {
    keys::router()
        .merge(records::router())
        .merge(targets::router())
        .merge(crate::versions::router())
        .merge(crate::mcp::remote_router())
        .merge(crate::audit::remote_router())
}

/// Who asks for a change: a key, or whoever may open the control socket.
#[derive(Clone, Debug)]
pub(crate) struct Actor(String);

impl Actor {
    /// As records name it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        // Over the network the guard of `/admin` has put it there; on the socket nobody does.
        let principal = parts.extensions.get::<Principal>();
        Ok(Self(principal.map_or_else(|| "cli".to_owned(), |principal| principal.id().to_string())))
    }
}

/// A refused request: a status and a sentence.
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

async fn explain(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, Refused> {
    let wrong = || {
        Refused(
            StatusCode::BAD_REQUEST,
            format!("`{id}` is neither a decision (`dec_…`) nor a run (`run_…`)"),
        )
    };
    let found = match (id.parse::<DecisionId>(), id.parse::<RunId>()) {
        (Ok(decision), _) => control.decisions.chain_of(decision).await,
        (_, Ok(run)) => control.decisions.run(run).await,
        _ => return Err(wrong()),
    };
    match found {
        Ok(Lookup::Found(run)) => {
            let text = format!("{}\n\n{}", baton_audit::sentence(&run), baton_audit::table(&run));
            let body = serde_json::to_value(RunBody::of(run, DecisionBody::from)).unwrap_or_default();
            Ok(Json(json!({"text": text, "run": body})))
        }
        Ok(Lookup::NotYetVisible | Lookup::NotFound) => {
            Err(Refused(StatusCode::NOT_FOUND, format!("there is no `{id}`")))
        }
        Err(error) => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// What would be decided for a request now.
async fn route(State(control): State<Control>, body: Bytes) -> Result<Json<Value>, Refused> {
    let ask = baton_api::route_ask(body).map_err(|why| Refused(StatusCode::BAD_REQUEST, why))?;
    let run =
        control.engine.dry_run(&ask).map_err(|refusal| Refused(StatusCode::BAD_REQUEST, refusal.message))?;
    let text = baton_api::route_text(&run);
    Ok(Json(json!({"text": text, "route": baton_api::route_body(run)})))
}

/// An act is on paper before it takes effect.
pub(crate) async fn record(
    control: &Control,
    actor: &Actor,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<(), Refused> {
    let change = Record::Change(Change {
        at_ms: control.ids.now_ms(),
        actor: actor.as_str().to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    });
    let unrecorded =
        |error: baton_audit::JournalError| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let receipt = control.journal.append(&change).map_err(unrecorded)?;
    control.journal.synced(&receipt).await.map_err(unrecorded)
}
