//! Policies that are put at run time: what of them is in force, and the routes and commands that change it.
//!
//! - Start with [`Versions::apply`] for what the engine is given, [`router`] for what an operator asks.
//! - **Invariant:** a version's document is in this machine's journal before the engine plans with it, and
//!   a change is in the journal before it takes effect.
//! - **Invariant:** a name belongs to the file or to the store, never to both.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use axum::extract::{Path as UrlPath, State};
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_access::{Canary, PolicyList, PolicyShelf, PolicyState, PolicyVersion, Selector, ShelfError};
use baton_audit::{Document, IdSource, Journal, JournalError, Record};
use baton_config::{Config, policy_version};
use baton_engine::{Engine, StoredPolicies, StoredPolicy};
use baton_policy::{Policy, PolicyDocument, PolicyRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::control::{Actor, Client, Control, Refused, record};
use crate::output::{json as print_json, line, note};

/// The store's policies, and what of them this process has written down.
#[derive(Debug)]
pub(crate) struct Versions {
    shelf: PolicyShelf,
    journal: Arc<Journal>,
    ids: IdSource,
    /// The versions whose documents this boot has in its journal. One change is applied at a time.
    written: Mutex<HashSet<String>>,
}

impl Versions {
    pub(crate) fn new(shelf: PolicyShelf, journal: Arc<Journal>, ids: IdSource) -> Self {
        Self { shelf, journal, ids, written: Mutex::default() }
    }

    /// Asks the store for changes. `true` when there were some.
    pub(crate) async fn refresh(&self) -> bool {
        self.shelf.refresh().await.unwrap_or_else(|error| {
            tracing::debug!(error = %error, "policies were not refreshed");
            false
        })
    }

    /// Gives the engine what is in force now, after it is written down.
    pub(crate) async fn apply(&self, engine: &Engine) -> Result<(), JournalError> {
        let mut written = self.written.lock().await;
        let list = self.shelf.list();
        for version in in_force(&list) {
            if !written.contains(&version.version) {
                self.write_down(version).await?;
                written.insert(version.version.clone());
            }
        }
        let stored = list.states.iter().filter_map(|state| compiled(&list, state));
        engine.apply_stored(stored.collect::<StoredPolicies>());
        Ok(())
    }

    async fn write_down(&self, version: &PolicyVersion) -> Result<(), JournalError> {
        let receipt = self.journal.append(&Record::Document(Document {
            hash: version.version.clone(),
            kind: "policy".to_owned(),
            at_ms: self.ids.now_ms(),
            body: version.document.clone(),
        }))?;
        self.journal.synced(&receipt).await
    }

    /// Refuses a file that has a policy of a name that the store has too.
    pub(crate) fn check_names(&self, config: &Config, file: Option<&Path>) -> anyhow::Result<()> {
        let list = self.shelf.list();
        let names = config.policies.iter().map(|policy| policy.reference.name.as_str());
        let file =
            file.map_or_else(|| "the configuration".to_owned(), |file| format!("`{}`", file.display()));
        let mut clashes = Vec::new();
        for name in names {
            if let Some(first) = list.of(name).next() {
                clashes.push(format!(
                    "the policy `{name}` is in {file} (`policies.{name}`) and in the store (`{name}@{}`)",
                    first.version
                ));
            }
        }
        if clashes.is_empty() {
            return Ok(());
        }
        bail!("{}: give the one in the file another name", clashes.join("; "))
    }
}

/// The versions that a decision can name.
fn in_force(list: &PolicyList) -> impl Iterator<Item = &PolicyVersion> {
    let named = |state: &PolicyState, version: &PolicyVersion| {
        state.active == version.version
            || state.canary.as_ref().is_some_and(|canary| canary.version == version.version)
            || state.shadow.as_ref() == Some(&version.version)
    };
    list.versions
        .iter()
        .filter(move |version| list.state(&version.name).is_some_and(|state| named(state, version)))
}

/// What is in force of one policy, ready to plan with. Without an active version that this program can
/// read, nothing is.
fn compiled(list: &PolicyList, state: &PolicyState) -> Option<StoredPolicy> {
    let policy = |version: &str| {
        let version = list.of(&state.name).find(|it| it.version == version)?;
        match read(&version.name, &version.document) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(error) => {
                tracing::error!(policy = %state.name, version = %version.version, error = %error, "a stored policy cannot be read and is left out");
                None
            }
        }
    };
    Some(StoredPolicy {
        active: policy(&state.active)?,
        canary: state
            .canary
            .as_ref()
            .and_then(|canary| policy(&canary.version).map(|policy| (policy, canary.percent))),
        shadow: state.shadow.as_deref().and_then(policy),
    })
}

/// A document as a policy of that name. Its version is the hash of what it says.
fn read(name: &str, document: &Value) -> anyhow::Result<Policy> {
    let document = PolicyDocument::deserialize(document)?;
    let reference = PolicyRef { name: name.to_owned(), version: policy_version(&document) };
    Policy::new(reference, document).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", mistakes.join("; "))
    })
}

/// A policy to be stored.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Put {
    /// Its name in the store.
    name: String,
    /// The policy as the file would have it.
    #[schema(value_type = Object)]
    document: Value,
}

/// What became of a policy that was put.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PutBody {
    name: String,
    version: String,
    /// Whether the store did not have it yet.
    new: bool,
}

/// A policy with its versions, and which of them are in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyRow {
    name: String,
    /// `file` or `store`.
    source: &'static str,
    versions: Vec<String>,
    active: Option<String>,
    /// The version to go back to.
    previous: Option<String>,
    /// The version that plans a share of the requests.
    #[schema(value_type = Option<Object>)]
    canary: Option<Canary>,
    /// The version that is planned with beside, without effect.
    shadow: Option<String>,
}

/// All policies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyRows {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<PolicyRow>,
    has_more: bool,
}

/// A version of a policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyBody {
    name: String,
    version: String,
    /// `file` or `store`.
    source: &'static str,
    #[schema(value_type = Object)]
    document: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
}

/// Which versions of a name are in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InForce {
    #[serde(flatten)]
    #[schema(inline, value_type = Object)]
    state: PolicyState,
}

/// What should be in force.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Act {
    /// This version plans.
    Activate { name: String, version: String },
    /// The version before plans again.
    Rollback { name: String },
    /// This version plans a share.
    Canary { name: String, version: String, percent: u8 },
    /// This version is planned with beside.
    Shadow { name: String, version: String },
    /// Neither canary nor shadow.
    Off { name: String },
}

/// The routes.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/policies", get(list_policies).post(put_policy))
        .route("/policies/{name}", get(show_policy))
        .route("/policy-state", post(act))
}

impl From<ShelfError> for Refused {
    fn from(error: ShelfError) -> Self {
        let status = match error {
            ShelfError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

/// Lists the policies of file and store, with their versions.
#[utoipa::path(
    get,
    path = "/admin/v1/policies",
    operation_id = "admin.policies.list",
    tag = "admin",
    responses((status = 200, description = "The policies", body = PolicyRows, example = json!({"object": "list", "data": [{"name": "frugal", "source": "store", "versions": ["1b5e8f0c22d1a9e4"], "active": "1b5e8f0c22d1a9e4", "previous": null, "canary": null, "shadow": null}], "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn list_policies(State(control): State<Control>) -> Json<PolicyRows> {
    let list = control.versions.shelf.list();
    let settings = control.engine.settings();
    let of_file: BTreeSet<&PolicyRef> = settings.catalog.policies().map(|policy| &policy.reference).collect();
    let of_file = of_file.into_iter().map(|policy| PolicyRow {
        name: policy.name.clone(),
        source: "file",
        versions: vec![policy.version.clone()],
        active: Some(policy.version.clone()),
        previous: None,
        canary: None,
        shadow: None,
    });
    let stored = list.names().into_iter().map(|name| {
        let state = list.state(name).cloned();
        let (active, previous, canary, shadow) = match state {
            Some(state) => (Some(state.active), state.previous, state.canary, state.shadow),
            None => (None, None, None, None),
        };
        let versions = list.of(name).map(|version| version.version.clone()).collect();
        PolicyRow { name: name.to_owned(), source: "store", versions, active, previous, canary, shadow }
    });
    Json(PolicyRows { object: "list", data: of_file.chain(stored).collect(), has_more: false })
}

/// Shows a policy by `NAME` or `NAME@VERSION`: that version, or the active one, or where none is the newest.
#[utoipa::path(
    get,
    path = "/admin/v1/policies/{name}",
    operation_id = "admin.policies.retrieve",
    tag = "admin",
    params(("name" = String, Path, description = "`NAME` or `NAME@VERSION`", example = "frugal")),
    responses((status = 200, description = "The version", body = PolicyBody, example = json!({"name": "frugal", "version": "1b5e8f0c22d1a9e4", "source": "store", "document": {"order": "cheapest"}, "created_ms": 1_763_726_400_000_u64, "created_by": "cli"}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn show_policy(
    State(control): State<Control>,
    UrlPath(wanted): UrlPath<String>,
) -> Result<Json<PolicyBody>, Refused> {
    let (name, version) = match wanted.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (wanted.as_str(), None),
    };
    let settings = control.engine.settings();
    if let Some(policy) = settings.catalog.policies().find(|policy| policy.reference.name == name)
        && version.is_none_or(|version| policy.reference.version.starts_with(version))
    {
        let document = serde_json::to_value(&policy.document).unwrap_or_default();
        let (name, version) = (name.to_owned(), policy.reference.version.clone());
        let body = PolicyBody { name, version, source: "file", document, created_ms: None, created_by: None };
        return Ok(Json(body));
    }
    let list = control.versions.shelf.list();
    let active = list.state(name).map(|state| state.active.as_str());
    let newest = list.of(name).last().map(|version| version.version.as_str());
    let Some(version) = version.or(active).or(newest) else {
        return Err(ShelfError::NoPolicy(name.to_owned()).into());
    };
    let selector = Selector { name: name.to_owned(), version: version.to_owned() };
    let found = control.versions.shelf.find(&selector).await?;
    Ok(Json(PolicyBody {
        name: found.name,
        version: found.version,
        source: "store",
        document: found.document,
        created_ms: Some(found.created_ms),
        created_by: Some(found.created_by),
    }))
}

/// Adds a version of a policy to the store. Nothing uses it before it is activated.
#[utoipa::path(
    post,
    path = "/admin/v1/policies",
    operation_id = "admin.policies.put",
    tag = "admin",
    request_body(content = Put, example = json!({"name": "frugal", "document": {"order": "cheapest"}})),
    responses((status = 200, description = "The version", body = PutBody, example = json!({"name": "frugal", "version": "1b5e8f0c22d1a9e4", "new": true}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn put_policy(
    State(control): State<Control>,
    actor: Actor,
    Json(Put { name, document }): Json<Put>,
) -> Result<Json<PutBody>, Refused> {
    let refused = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    check_name(&name).map_err(refused)?;
    let settings = control.engine.settings();
    if settings.catalog.policies().any(|policy| policy.reference.name == name) {
        return Err(refused(format!("the policy `{name}` is in the file, which alone can change it")));
    }
    if Policy::built_in(&name).is_some() {
        return Err(refused(format!("`{name}` is a policy of Baton's own: take another name")));
    }
    let policy =
        read(&name, &document).map_err(|error| refused(format!("the policy cannot be used: {error:#}")))?;
    if let Some((key, unknown)) = settings.catalog.unserved(&policy).into_iter().next() {
        let hint = match unknown.nearest.first() {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => String::new(),
        };
        return Err(refused(format!("`{key}`: the model `{}` does not exist here{hint}", unknown.name)));
    }
    let document = serde_json::to_value(&policy.document).map_err(|error| refused(error.to_string()))?;
    let version = PolicyVersion {
        name,
        version: policy.reference.version.clone(),
        document,
        created_ms: control.ids.now_ms(),
        created_by: actor.as_str().to_owned(),
    };
    let unrecorded = |error: JournalError| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    control.versions.write_down(&version).await.map_err(unrecorded)?;
    let subject = format!("{}@{}", version.name, version.version);
    record(&control, &actor, "policy.put", &subject, Value::Null).await?;
    let new = control.versions.shelf.put(&version).await?;
    Ok(Json(PutBody { name: version.name, version: version.version, new }))
}

/// A name that can be named in a header, a path and after `policy/`.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
        return Err(format!("`{name}` is no name for a policy: 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

/// Changes which versions of a policy are in force: activates one, goes back, or puts one on trial.
#[utoipa::path(
    post,
    path = "/admin/v1/policy-state",
    operation_id = "admin.policies.act",
    tag = "admin",
    request_body(content = Act, example = json!({"act": "canary", "name": "frugal", "version": "1b5e8f", "percent": 10})),
    responses((status = 200, description = "What is in force now", body = InForce, example = json!({"name": "frugal", "active": "77c0d2a1be03f954", "previous": null, "canary": {"version": "1b5e8f0c22d1a9e4", "percent": 10}, "shadow": null, "revision": 4}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn act(
    State(control): State<Control>,
    actor: Actor,
    Json(act): Json<Act>,
) -> Result<Json<InForce>, Refused> {
    let shelf = &control.versions.shelf;
    let selector =
        |name: &str, version: &str| Selector { name: name.to_owned(), version: version.to_owned() };
    // What cannot be done is told before it is recorded as done: a version is looked up first.
    let (action, selector, percent) = match &act {
        Act::Activate { name, version } => ("policy.activate", selector(name, version), None),
        Act::Canary { name, version, percent } => ("policy.canary", selector(name, version), Some(*percent)),
        Act::Shadow { name, version } => ("policy.shadow", selector(name, version), None),
        Act::Rollback { name } => ("policy.rollback", selector(name, ""), None),
        Act::Off { name } => ("policy.off", selector(name, ""), None),
    };
    let subject = if selector.version.is_empty() {
        selector.name.clone()
    } else {
        let found = shelf.find(&selector).await?;
        format!("{}@{}", found.name, found.version)
    };
    let detail = percent.map_or(Value::Null, |percent| json!({"percent": percent}));
    record(&control, &actor, action, &subject, detail).await?;
    let state = match act {
        Act::Activate { .. } => shelf.activate(&selector).await?,
        Act::Rollback { name } => shelf.roll_back(&name).await?,
        Act::Canary { percent, .. } => shelf.canary(&selector, percent).await?,
        Act::Shadow { .. } => shelf.shadow(&selector).await?,
        Act::Off { name } => shelf.off(&name).await?,
    };
    let unrecorded = |error: JournalError| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    control.versions.apply(&control.engine).await.map_err(unrecorded)?;
    Ok(Json(InForce { state }))
}

/// `baton policy list`.
pub(crate) async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.call(Method::GET, "/policies", &Value::Null).await?;
    let rows = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if json {
        print_json(&Value::Array(rows));
        return Ok(());
    }
    for row in &rows {
        let name = text(row, "name");
        for version in row.get("versions").and_then(Value::as_array).into_iter().flatten() {
            let version = version.as_str().unwrap_or_default();
            line(&format!("{name}@{version}  {:5}  {}", text(row, "source"), standing(row, version)));
        }
    }
    Ok(())
}

/// What a version of a row is.
fn standing(row: &Value, version: &str) -> String {
    let mut words: Vec<String> = ["active", "shadow"]
        .into_iter()
        .filter(|word| row.get(*word).and_then(Value::as_str) == Some(version))
        .map(str::to_owned)
        .collect();
    if let Some(canary) = row.get("canary").filter(|canary| text(canary, "version") == version) {
        words.push(format!("canary {} %", canary.get("percent").unwrap_or(&Value::Null)));
    }
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// `baton policy show`.
pub(crate) async fn show(client: &Client, wanted: &str, json: bool) -> anyhow::Result<()> {
    let path_safe = wanted.split_once('@').map_or(wanted, |(name, _)| name);
    check_name(path_safe).map_err(anyhow::Error::msg)?;
    let answer = client.call(Method::GET, &format!("/policies/{wanted}"), &Value::Null).await?;
    if !json {
        note(&format!(
            "{}@{}, of the {}",
            text(&answer, "name"),
            text(&answer, "version"),
            text(&answer, "source")
        ));
    }
    print_json(if json { &answer } else { answer.get("document").unwrap_or(&Value::Null) });
    Ok(())
}

/// `baton policy put`.
pub(crate) async fn put(client: &Client, name: &str, policy: &Policy, json: bool) -> anyhow::Result<()> {
    let wanted = Put { name: name.to_owned(), document: serde_json::to_value(&policy.document)? };
    let answer = client.call(Method::POST, "/policies", &serde_json::to_value(wanted)?).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    if answer.get("new") == Some(&Value::Bool(false)) {
        note("the store has this version already");
    }
    line(&format!("{}@{}", text(&answer, "name"), text(&answer, "version")));
    Ok(())
}

/// `baton policy activate|rollback|canary|shadow|off`.
pub(crate) async fn carry_out(client: &Client, act: &Act, json: bool) -> anyhow::Result<()> {
    let answer = client.call(Method::POST, "/policy-state", &serde_json::to_value(act)?).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let name = text(&answer, "name");
    let mut said = format!("{name}@{} is active", text(&answer, "active"));
    if let Some(canary) = answer.get("canary").filter(|canary| !canary.is_null()) {
        said += &format!(
            ", {name}@{} gets {} % of the requests",
            text(canary, "version"),
            canary.get("percent").unwrap_or(&Value::Null)
        );
    }
    if let Some(shadow) = answer.get("shadow").and_then(Value::as_str) {
        said += &format!(", {name}@{shadow} is planned with beside");
    }
    note(&said);
    Ok(())
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or("-")
}
