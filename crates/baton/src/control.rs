//! The control socket: how other commands talk to the running server, and the same without one.
//!
//! The socket is in the data directory and only its owner may open it; who can, may do everything.
//! A command that finds no server takes the data directory itself and calls the same routes in
//! its own process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_access::{Grant, IssueError, IssuedKey, KeyRecord, KeyRing, NewKey, Role, UNLIMITED};
use baton_audit::{
    AuditStore, AuditUpkeep, Change, DecisionBody, DecisionView, Decisions, DecisionsError, IdSource,
    Journal, ListQuery, Lookup, OutcomeView, PageStart, Record, Relay, Replayer, RunBody,
};
use baton_engine::{Engine, Manual, Scope, TargetState};
use baton_model::{DecisionId, KeyId, RunId};
use baton_policy::{BreakerState, Latency};
use baton_state::responses::ResponseStore;
use baton_state::runs::RunStore;
use baton_tools::Registry;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::content::Contents;
use crate::core::Core;
use crate::plans::{Planned, Plans, keep_switches, switches};
use crate::settings::settings;
use crate::signing::Signing;
use crate::versions::Versions;

/// The socket's name in the data directory.
pub(crate) const SOCKET: &str = "control.sock";
/// The most that an answer may hold.
const ANSWER_LIMIT: usize = 16 << 20;

/// What the routes work on.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    keys: Arc<KeyRing>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) store: Arc<dyn AuditStore>,
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

/// The routes.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route(
            "/status",
            get(|| async { Json(json!({"pid": std::process::id(), "version": env!("CARGO_PKG_VERSION")})) }),
        )
        .route("/keys", get(list_keys).post(create_key))
        .route("/keys/{id}/rotate", post(rotate_key))
        .route("/keys/{id}/revoke", post(revoke_key))
        .route("/explain/{id}", get(explain))
        .route("/route", post(route))
        .route("/plans", get(list_plans))
        .route("/plans/{id}", get(one_plan))
        .route("/targets", get(list_targets).post(switch_target))
        .merge(crate::audit::router())
        .merge(crate::versions::router())
        .merge(crate::mcp::router())
        .with_state(control)
}

/// A refused control request.
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        let status = match error {
            IssueError::Store(_) | IssueError::NoRandom(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

/// What a new key should be.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) models: Option<Vec<String>>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) expires_in_days: Option<u32>,
    pub(crate) byok: bool,
}

/// How a rotation should be done.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    pub(crate) grace_minutes: u32,
}

async fn list_keys(State(control): State<Control>) -> Json<Value> {
    let now = control.ids.now_ms();
    let keys: Vec<Value> = control.keys.records().iter().map(|record| shown(record, now)).collect();
    Json(json!({"object": "list", "data": keys, "has_more": false}))
}

async fn create_key(
    State(control): State<Control>,
    Json(wanted): Json<CreateKey>,
) -> Result<Json<Value>, Refused> {
    let now = control.ids.now_ms();
    let role: Role = wanted
        .role
        .parse()
        .map_err(|error: baton_access::UnknownRole| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let days = |days: u32| now.saturating_add(u64::from(days) * 86_400_000);
    let grant = Grant {
        role,
        models: wanted.models,
        byok: wanted.byok,
        concurrency: wanted.concurrency,
        expires_ms: wanted.expires_in_days.map(days),
    };
    let subject = wanted.name.clone();
    record(&control, "key.create", &subject, Value::Null).await?;
    let issued = control.keys.create(NewKey { name: wanted.name, grant }, &UNLIMITED, now).await?;
    Ok(Json(once(&issued, now)))
}

async fn rotate_key(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
    Json(how): Json<RotateKey>,
) -> Result<Json<Value>, Refused> {
    let id = key_id(&id)?;
    record(&control, "key.rotate", &id.to_string(), Value::Null).await?;
    let now = control.ids.now_ms();
    let issued = control.keys.rotate(id, u64::from(how.grace_minutes) * 60_000, &UNLIMITED, now).await?;
    Ok(Json(once(&issued, now)))
}

async fn revoke_key(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, Refused> {
    let id = key_id(&id)?;
    record(&control, "key.revoke", &id.to_string(), Value::Null).await?;
    let now = control.ids.now_ms();
    let revoked = control.keys.revoke(id, &UNLIMITED, now).await?;
    Ok(Json(shown(&revoked, now)))
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

/// Which decisions, newest first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlansQuery {
    limit: u32,
    after: Option<String>,
}

async fn list_plans(
    State(control): State<Control>,
    Query(query): Query<PlansQuery>,
) -> Result<Json<Plans>, Refused> {
    let start = match query.after {
        Some(id) => PageStart::After(decision_id(&id)?),
        None => PageStart::Newest,
    };
    let query = ListQuery { start, limit: query.limit.clamp(1, 1_000), ..ListQuery::default() };
    let page = control.decisions.list(&query).await.map_err(unreadable)?;
    plans(&control, page.decisions, page.has_more).await
}

async fn one_plan(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Plans>, Refused> {
    match control.decisions.get(decision_id(&id)?).await.map_err(unreadable)? {
        Lookup::Found(view) => plans(&control, vec![view], false).await,
        Lookup::NotYetVisible | Lookup::NotFound => {
            Err(Refused(StatusCode::NOT_FOUND, format!("there is no `{id}`")))
        }
    }
}

/// Decisions with the documents that they refer to.
async fn plans(control: &Control, views: Vec<DecisionView>, has_more: bool) -> Result<Json<Plans>, Refused> {
    let mut documents = BTreeMap::new();
    for hash in views.iter().flat_map(|view| Replayer::needs(&view.decision)) {
        if !documents.contains_key(hash)
            && let Some(document) = control.decisions.document(hash).await.map_err(unreadable)?
        {
            documents.insert(hash.to_owned(), document.body);
        }
    }
    let decisions = views
        .into_iter()
        .map(|view| Planned {
            used: match view.outcome {
                OutcomeView::Recorded(outcome) => outcome.usage,
                OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
            },
            decision: view.decision,
        })
        .collect();
    Ok(Json(Plans { decisions, documents, has_more }))
}

fn decision_id(text: &str) -> Result<DecisionId, Refused> {
    text.parse().map_err(|_error| {
        Refused(StatusCode::BAD_REQUEST, format!("`{text}` is not a decision's id (`dec_…`)"))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
fn unreadable(error: DecisionsError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

async fn list_targets(State(control): State<Control>) -> Json<Value> {
    let health = control.engine.health();
    let mut rows: Vec<Value> = health.states(Instant::now()).iter().map(target_row).collect();
    let asked: Vec<String> =
        rows.iter().filter_map(|row| Some(row.get("target")?.as_str()?.to_owned())).collect();
    for (scope, manual) in health.manual() {
        let scope = scope.to_string();
        if !asked.contains(&scope) {
            rows.push(json!({"target": scope, "state": manual.as_str()}));
        }
    }
    Json(json!({"object": "list", "data": rows, "has_more": false}))
}

fn target_row(state: &TargetState) -> Value {
    let (breaker, for_ms) = breaker(state.breaker);
    let latency = |latency: Option<Latency>| {
        latency.map(|it| json!({"p50_ms": it.p50_ms, "p95_ms": it.p95_ms, "samples": it.samples}))
    };
    let credentials: Vec<Value> = state
        .credentials
        .iter()
        .map(|credential| {
            let (breaker, for_ms) = self::breaker(credential.breaker);
            json!({
                "breaker": breaker, "breaker_for_ms": for_ms,
                "cooling_ms": credential.cooling_ms, "headroom_thousandths": credential.headroom,
            })
        })
        .collect();
    let p50 = state.whole.or(state.stream).map(|latency| format!("{} ms", latency.p50_ms));
    json!({
        "target": state.target.to_string(), "state": state.manual.as_str(), "breaker": breaker,
        "breaker_for_ms": for_ms, "p50": p50, "stream": latency(state.stream), "whole": latency(state.whole),
        "credentials": credentials,
    })
}

const fn breaker(state: BreakerState) -> (&'static str, u64) {
    match state {
        BreakerState::Closed => ("closed", 0),
        BreakerState::Open { for_ms } => ("open", for_ms),
        BreakerState::HalfOpen => ("half_open", 0),
        BreakerState::Probing { for_ms } => ("probing", for_ms),
    }
}

/// How a target should be switched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    scope: Scope,
    state: Manual,
}

async fn switch_target(
    State(control): State<Control>,
    Json(Switch { scope, state }): Json<Switch>,
) -> Result<Json<Value>, Refused> {
    record(&control, &format!("target.{}", state.as_str()), &scope.to_string(), Value::Null).await?;
    let health = control.engine.health();
    let before = health.set_manual(&scope, state);
    // A blocking write of a few hundred bytes, by an operator's hand.
    keep_switches(&control.data_dir, &health.manual())
        .map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
    Ok(Json(json!({"scope": scope, "before": before.as_str(), "state": state.as_str()})))
}

/// An act is on paper before it takes effect.
pub(crate) async fn record(
    control: &Control,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<(), Refused> {
    let change = Record::Change(Change {
        at_ms: control.ids.now_ms(),
        actor: "cli".to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    });
    let unrecorded =
        |error: baton_audit::JournalError| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let receipt = control.journal.append(&change).map_err(unrecorded)?;
    control.journal.synced(&receipt).await.map_err(unrecorded)
}

fn key_id(text: &str) -> Result<KeyId, Refused> {
    text.parse().map_err(|error: baton_model::IdError| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

/// A key with its secret: the only time that it is shown.
fn once(issued: &IssuedKey, now: u64) -> Value {
    let mut value = shown(&issued.record, now);
    if let Some(members) = value.as_object_mut() {
        members.insert("secret".to_owned(), json!(issued.secret.expose()));
    }
    value
}

fn shown(record: &KeyRecord, now: u64) -> Value {
    let state = if record.revoked_ms.is_some_and(|at| at <= now) {
        "revoked"
    } else if record.expires_ms.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "valid"
    };
    json!({
        "id": record.id.to_string(),
        "name": record.name,
        "role": record.role,
        "last4": record.last4,
        "models": record.models,
        "concurrency": record.concurrency,
        "byok": record.byok,
        "created_ms": record.created_ms,
        "expires_ms": record.expires_ms,
        "revoked_ms": record.revoked_ms,
        "state": state,
    })
}

/// Where a command's requests go.
pub(crate) enum Client {
    /// To the running server.
    Server(std::path::PathBuf),
    /// To the same routes in this process, which has the data directory.
    Own(Router, Box<Core>),
}

impl Client {
    /// The running server of a data directory, else the directory itself.
    pub(crate) async fn open(config: &baton_config::Config) -> anyhow::Result<Self> {
        if let Some(client) = Self::running(config).await {
            return Ok(client);
        }
        let core = Core::open(config).await?;
        let settings = Arc::new(settings(config)?);
        let engine = Engine::new(
            settings,
            Arc::clone(&core.journal),
            core.sealer.clone(),
            core.tools.clone(),
            core.ids.clone(),
            CancellationToken::new(),
        );
        engine.health().restore(switches(&config.data_dir)?);
        core.versions.apply(&engine).await?;
        Ok(Self::Own(router(Control::new(&core, Arc::new(engine), &config.data_dir)), Box::new(core)))
    }

    /// The running server of a data directory, if there is one.
    pub(crate) async fn running(config: &baton_config::Config) -> Option<Self> {
        let socket = config.data_dir.join(SOCKET);
        connect(&socket).await.is_ok().then_some(Self::Server(socket))
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(serde_json::to_vec(body)?) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(bytes))?;
        let (status, bytes) = match self {
            Self::Own(router, _) => {
                let response = router.clone().oneshot(request.map(axum::body::Body::new)).await?;
                let status = response.status();
                (status, axum::body::to_bytes(response.into_body(), ANSWER_LIMIT).await?)
            }
            Self::Server(socket) => {
                let stream = connect(socket).await.context("the server went away")?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                let tasks = baton_net::tasks::Tasks::new();
                drop(tasks.spawn(async move { drop(connection.await) }));
                let response = sender.send_request(request).await?;
                let status = response.status();
                (
                    status,
                    http_body_util::Limited::new(response.into_body(), ANSWER_LIMIT)
                        .collect()
                        .await
                        .map_err(|error| anyhow!(error))?
                        .to_bytes(),
                )
            }
        };
        let value: Value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!({"error": String::from_utf8_lossy(&bytes)}));
        if !status.is_success() {
            bail!("{}", value.get("error").and_then(Value::as_str).unwrap_or("the server refused"));
        }
        Ok(value)
    }

    /// Hands over what was written.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Own(_, core) => core.close(Duration::from_secs(10)).await,
        }
    }
}

async fn connect(socket: &Path) -> std::io::Result<tokio::net::UnixStream> {
    tokio::net::UnixStream::connect(socket).await
}
