//! What a checked configuration holds. Nothing in it has to be checked again.
//!
//! Each field says what its key in the file means and what holds without it.
//!
//! - Start with [`Config`].
//! - **Invariant:** every name that is mentioned exists, and no name means two things.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use baton_audit::SecretKind;
use baton_model::{ModelName, ProviderName, Secret, Target};
use baton_policy::{Facts, Knowledge, Policy};
use baton_run::HandoffMode;
use baton_tools::ToolSettings;

use crate::agents::Agents;
use crate::{document, knowledge};

/// Everything that an operator can set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `listen`: the address to serve on. Default `127.0.0.1:8080`. Needs a restart.
    pub listen: SocketAddr,
    /// `data_dir`: where the journal, the snapshot of keys and the embedded store are. A relative path
    /// starts at the working directory. Default `./baton-data`. Needs a restart.
    pub data_dir: PathBuf,
    /// `database`: `sqlite` for the embedded store in `data_dir`, or `postgres://...`. Default
    /// `sqlite`. Needs a restart.
    pub database: Database,
    /// `auth`: who may call.
    pub auth: Auth,
    /// `providers`: the upstream accounts, in the order of the file. Without this key in the file,
    /// the presets whose key is in the environment.
    pub providers: Vec<Provider>,
    /// `default_provider`: takes names of models that no configured provider serves. Default: none.
    pub default_provider: Option<ProviderName>,
    /// `models`: what is known of models, in the order of the file.
    pub models: Vec<Model>,
    /// `routes`: names for pools, in the order of the file.
    pub routes: Vec<Route>,
    /// `policies`: how a model is chosen, and what happens when it fails. The one called `default`
    /// holds where no other is named; it is always there.
    ///
    /// - `pool`: the models of a request for `policy/<name>`. Default: those of its rules and weights.
    /// - `order`: one of `ordered`, `weighted`, `cheapest`, `fastest`, `balanced`, `attributes`,
    ///   `strengths`, `auto` and `judge`, or several: the first that can rank does. Default `ordered`.
    /// - `rules`: each with `name`, `when`, and what is done then: `use`, `prefer`, `avoid`, `handoff_to`,
    ///   `allow_models`, `refuse`, `stop`, `max_turns` (1 to 1000), `mcp_servers`, `set`, `prepend`,
    ///   `append`. The first that matches counts.
    /// - `constraints`: `max_cost_usd` (or `max_cost`), `max_latency_ms` (or `max_latency`),
    ///   `max_price` with `input` and `output`, and `capabilities`.
    /// - `weights`: for `weighted`, by model. Default: all equal.
    /// - `balance`: `quality`, `cost` and `speed`, for `balanced` and `auto`. Default 0.5, 0.3, 0.2.
    /// - `judge`: `model` and `timeout` (default `5s`), for `judge`.
    /// - `switch_margin`: how much better another model must be before a conversation leaves the one
    ///   that it is with. Default `0.1`.
    /// - `client_order`: whether a request may bring an order of its own. Default `false`, but `true`
    ///   for `default`.
    /// - `fallback.retries`: how often the same target is tried again, 0 to 3. Default 2.
    /// - `fallback.cooldown`: how long a target rests after it said that it has had too much, unless it
    ///   says so itself. Default `60s`.
    /// - `timeouts`: `connect` (default `2s`), `first_content` (`120s`), `idle` (`60s`) and `total`
    ///   (`10m`).
    pub policies: Vec<Arc<Policy>>,
    /// `cors`: which web pages may call.
    pub cors: Cors,
    /// `limits`: what a client may demand of the gateway.
    pub limits: Limits,
    /// `telemetry`: logs and traces. Needs a restart.
    pub telemetry: Telemetry,
    /// `journal`: the local audit journal.
    pub journal: Journal,
    /// `responses.store`: whether responses can be read again and gone on from, for 30 days (`30d`, the
    /// default), or `never`. Needs a restart.
    pub stores_responses: bool,
    /// `runs`: who is told of runs in the background. Needs a restart.
    pub runs: RunSettings,
    /// `audit`: how long decisions are kept, and what is kept beside. Needs a restart.
    pub audit: Audit,
    /// `mcp_servers`: the MCP servers whose tools a run may use, by name, and `mcp_allow_urls`: which other
    /// URLs a request may name in `mcp_servers`, as `https://mcp.example.com/*`. Default: none.
    ///
    /// - `url`: streamable HTTP. It may be private; only metadata services are closed to it.
    /// - `headers`: sent with every call to the URL. No credential of a client is ever sent on.
    /// - `command`: the program and its arguments, for standard input and output.
    /// - `env`: its environment, beside `PATH`. Nothing else is passed on.
    /// - `tools`: which of its tools are offered. Default: all.
    /// - `connect_timeout`: how long it has to connect and list its tools. Default `5s`.
    /// - `call_timeout`: how long a call may take. Default `60s`.
    /// - `max_result`: how much of a result a model gets, `1KiB` to `16MiB`. Default `256KiB`.
    /// - `max_calls`: how many calls one run may make. Default 64.
    pub tools: ToolSettings,
    /// `mcp_endpoint`: what the tools of the gateway's own MCP server (`POST /mcp`) answer from.
    pub mcp_endpoint: McpEndpoint,
    /// `workflows`: steps that a run takes one after the other, side by side, or as voters with a judge, by name.
    /// Each is written as `sequence`, `parallel` or `consensus`; `context` declares its variables. Default: none.
    ///
    /// They are kept as they are written, because a request may bring one of its own that names them.
    pub workflows: Vec<(String, serde_json::Value)>,
    /// `agents`: roles that clients name as `agent/<name>`, in the shape and words of Docker Agent, and `budget`:
    /// what each of their runs may use. Default: none.
    ///
    /// - `model`: one, or several as under `pool`, a route, or `first_available`. `fallback.models` stand in for
    ///   it, and `policy` says how one is chosen.
    /// - `description`: what it is for. `instruction`: what it is told, a text, or `purpose` and `routine` as
    ///   lists; or `instruction_file`.
    /// - `handoffs`: whom it may hand the conversation over to: names, or `agent`, `description`, `returns`,
    ///   `additional_instructions`, `enabled_if`. `handoff_tool`: `handoff` or `transfer_to`.
    /// - `sub_agents`: whom it may give a task: names, or `agent`, `as`, `description`.
    /// - `force_handoff`: who has the conversation after its final answer.
    /// - `toolsets`: `mcp` with `ref` and `tools`, and `filesystem` with `roots` and `write`.
    /// - `tools`: which of the client's tools it sees. Default: all.
    /// - `max_iterations`: the most turns that it takes in a run. `budget.max_cost`, `budget.max_tokens` and
    ///   `budget.max_time` bound a run that begins with it.
    /// - `structured_output`: `name`, `schema`, `strict`.
    pub agents: Agents,
    pub(crate) digests: Digests,
}

/// Two hashes of the content: one to be named in records, one to see a change of a secret too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) version: String,
    pub(crate) whole: Secret<String>,
}

/// Where records and keys live for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// Embedded, in `data_dir/baton.db`.
    Sqlite,
    /// A PostgreSQL server, by its URL.
    Postgres(Secret<String>),
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `auth.required`: whether a call needs a key. Default: `true`, but `false` where `listen` is a
    /// loopback address.
    pub required: bool,
}

/// An upstream account.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where it is, what it speaks and how it takes its keys:
    ///
    /// - `api_key`, or `api_keys` for several. For a preset without either, the preset's variable of
    ///   the environment.
    /// - `base_url`: used as given. Needed unless the name is that of a preset.
    /// - `dialect`: `openai_chat` or `anthropic_messages`. Needed unless the name is that of a preset.
    /// - `responses`: whether a provider of `openai_chat` answers `/responses` too. Default: `true` for the preset
    ///   `openai` at its own address.
    /// - `models`: the names it serves; `["*"]`, the default, is any.
    /// - `headers`: sent with every call.
    /// - `auth`: how the key is sent: `bearer`, `x-api-key`, or the name of a header. Default: as the
    ///   dialect does.
    pub upstream: baton_upstream::ProviderConfig,
    /// `proxy`: the URL of an HTTP proxy that leads to it. Default: none.
    pub proxy: Option<Secret<String>>,
    /// `ca_file`: certificates to trust beside the system's. Default: none.
    pub ca_file: Option<CaFile>,
}

/// Certificates in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFile {
    /// Where they were read from.
    pub path: PathBuf,
    /// The content at the time of loading.
    pub pem: String,
}

/// What is known of a model, under its key `<provider>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Who serves it, under which name.
    pub target: Target,
    /// What the file says of it, over what the catalogue knows:
    ///
    /// - `aliases`: other names for it, beside the catalogue's.
    /// - `strengths`: what it is good at, from 0 to 1. Each that is given wins over the catalogue's.
    /// - `attributes`: what it offers to `agent_attributes`, from 0 to 1, likewise.
    /// - `price`: US dollars per million tokens: `input`, `output`, and if they differ `cached_input`,
    ///   `cache_write` and `cache_write_1h`. Taken as a whole.
    /// - `capabilities` (`vision`, `audio`, `tools`, `structured_output`, `logprobs`, `reasoning`, each
    ///   `true` or `false`), `context_window` and `max_output_tokens`. What nobody says is unknown, and
    ///   tried.
    /// - `scored_as`: the model of the scorer's training that speaks for it.
    pub facts: Facts,
}

/// A name for a pool of models and a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What clients name.
    pub name: ModelName,
    /// `pool`: the models, in order.
    pub pool: Vec<ModelName>,
    /// `policy`: which one. Default: `default`.
    pub policy: String,
    /// `handoff`: who may hand a conversation from one model of the pool to another: nobody (`off`), the
    /// model that has it (`model`), the rules of the policy (`rules`), or `both`. Default `off`.
    pub handoff: HandoffMode,
}

/// What the tools of `POST /mcp` answer from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct McpEndpoint {
    /// `mcp_endpoint.select`: what `select_optimal_model` chooses from: a route, `policy/<name>`, or models.
    /// Default: `baton/auto`.
    pub select: Vec<String>,
    /// `mcp_endpoint.specialists`: who does which kind of work, by its name. Default: `code_review`,
    /// `creative_expansion`, `fact_checking` and `summarization`; `baton/auto` chooses for one whose model nobody
    /// here serves.
    ///
    /// - `model`: a model, several, a route, `policy/<name>` or `agent/<name>`.
    /// - `prompt_style`: how it should be asked. `focus`: what it should look at.
    pub specialists: Vec<Specialist>,
    /// `mcp_endpoint.otherwise`: which of them does what nobody is for. Default: `summarization`.
    pub otherwise: String,
}

/// Who does a kind of work.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Specialist {
    /// The kind of work.
    pub name: String,
    /// The models, in order, or one name for something else.
    pub models: Vec<String>,
    /// How it should be asked.
    pub prompt_style: String,
    /// What it should look at.
    pub focus: String,
}

/// Which web pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `cors.origins`: as browsers send them, in lower case. Default: none.
    pub origins: Vec<String>,
}

/// What a client may demand of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limits.max_body_bytes`: the longest request body, after decompression. Default `32MiB`.
    pub max_body_bytes: u64,
    /// `limits.max_connections`: open connections. Default 10000. Needs a restart.
    pub max_connections: u32,
    /// `limits.header_timeout`: how long a client may take to send its headers. Default `10s`. Needs a
    /// restart.
    pub header_timeout: Duration,
    /// `limits.drain_timeout`: how long open requests have to end after a stop is asked for. Default
    /// `30s`.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `telemetry.otlp_endpoint`: where traces are sent, by OTLP over HTTP. Default: nowhere.
    pub otlp_endpoint: Option<String>,
    /// `telemetry.log_format`: `json`, `pretty`, or `auto`: pretty on a terminal. Default `auto`.
    pub log_format: LogFormat,
    /// `telemetry.log_filter`: which events are logged, as `info` or `info,baton_engine=debug`.
    /// Default `info`.
    pub log_filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, log_format: LogFormat::Auto, log_filter: "info".to_owned() }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// The local audit journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// `journal.max_bytes`: how much may wait for the store. When it is full, requests are refused.
    /// Default `8GiB`, at least `1MiB`. Needs a restart.
    pub max_bytes: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { max_bytes: 8 << 30 }
    }
}

/// Who is told of runs in the background.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// `runs.webhook`: a `url` that is told which of them have ended, signed with `secret` (`whsec_...`).
    /// Default: none.
    pub webhook: Option<WebhookSettings>,
}

/// What is kept of decisions, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `audit.retention`: how long decisions and their evidence are kept, as `13 months` (31 days each) or
    /// `400 days`; whole months are dropped. `off` keeps everything. Default `13 months`.
    pub retention: Option<Duration>,
    /// `audit.checkpoints`: where signed checkpoints are kept outside of the store.
    pub checkpoints: Checkpoints,
    /// `audit.export.dir`: a folder of this gateway's own, to which every decision and outcome is written
    /// as a line of JSON. Default: none.
    pub export: Option<PathBuf>,
    /// `audit.alerts`: who is told when the audit log needs somebody. Default: nobody.
    pub alerts: Option<Alerts>,
    /// `audit.capture`: what is kept of requests and answers themselves. Default: nothing.
    pub capture: Option<CaptureSettings>,
}

/// What is kept of requests and answers themselves, once `audit.capture.content` is `true`.
///
/// It is sealed for the end user or the key. Of `keys`, `routes` and `policies` one has to fit; without any of
/// them, everything does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureSettings {
    /// `audit.capture.keys`: ids of keys (`key_...`, `anonymous`) whose requests are kept.
    pub keys: Vec<String>,
    /// `audit.capture.routes`: routes, models or agents, as clients name them.
    pub routes: Vec<String>,
    /// `audit.capture.policies`: policies that decide where a request goes.
    pub policies: Vec<String>,
    /// `audit.capture.redact`: what is taken out by its form before anything is written. Default
    /// `[keys, email, card, phone]`.
    pub redact: Vec<SecretKind>,
    /// `audit.capture.patterns`: regular expressions for what else is taken out. Default: none.
    pub patterns: Vec<String>,
    /// `audit.capture.max_bytes`: the most that is kept of a request or of an answer. Default `256KiB`, at
    /// most `1MiB`.
    pub max_bytes: u64,
    /// `audit.capture.keep`: how long content can be opened; `off` for as long as decisions are kept.
    /// Default `30 days`.
    pub keep: Option<Duration>,
}

/// Who is told when the audit log needs somebody, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// `audit.alerts.webhook`: a `url` that is sent the alerts, signed with `secret` (`whsec_...`).
    pub webhook: WebhookSettings,
    /// `audit.alerts.relay_lag`: how far the store may be behind. Default `60s`.
    pub relay_lag: Duration,
    /// `audit.alerts.disk_free`: how much room the disk of the data directory must have. Default `1GiB`.
    pub disk_free: u64,
}

/// Sinks for checkpoints. Whoever can change the store should not be able to change these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// `audit.checkpoints.file`: a file to which every checkpoint is appended. Default: none.
    pub file: Option<PathBuf>,
    /// `audit.checkpoints.webhook`: a `url` that is sent every checkpoint, signed with `secret`
    /// (`whsec_...`). Default: none.
    pub webhook: Option<WebhookSettings>,
}

/// Where signed messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// `url`.
    pub url: String,
    /// `secret`: as Standard Webhooks write it.
    pub secret: Secret<String>,
}

impl Default for Audit {
    fn default() -> Self {
        let retention = Some(Duration::from_secs(13 * 31 * 86_400));
        Self { retention, checkpoints: Checkpoints::default(), export: None, alerts: None, capture: None }
    }
}

/// The name of the policy that holds where no other is named.
pub const DEFAULT_POLICY: &str = "default";

impl Config {
    /// Sixteen hex digits of the hash of the content, secrets left out. Decisions name it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.digests.version
    }

    /// The content as it is recorded: secrets say `[secret]`.
    #[must_use]
    pub fn document(&self) -> serde_json::Value {
        document::document(self)
    }

    /// The policy of requests that name no route.
    #[must_use]
    pub fn default_policy(&self) -> Option<&Arc<Policy>> {
        self.policy(DEFAULT_POLICY)
    }

    /// The policy of this name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| policy.reference.name == name)
    }

    /// What is known of the models of the configured providers and of the kinds of task, and its
    /// version: sixteen hex digits of its hash.
    #[must_use]
    pub fn knowledge(&self) -> (String, Knowledge) {
        let knowledge = knowledge::knowledge(self);
        (document::version(&knowledge), knowledge)
    }

    /// Whether other machines can reach it without a key. Such a gateway must not start by accident.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        !self.auth.required && !self.listen.ip().is_loopback()
    }

    /// Whether both hold the same, secrets too.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.digests.whole == other.digests.whole
    }

    /// The keys that differ and take effect only at the next start.
    #[must_use]
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        [
            ("listen", self.listen != next.listen),
            ("data_dir", self.data_dir != next.data_dir),
            ("database", self.database != next.database),
            ("journal", self.journal != next.journal),
            ("responses", self.stores_responses != next.stores_responses),
            ("runs", self.runs != next.runs),
            ("audit", self.audit != next.audit),
            ("telemetry", self.telemetry != next.telemetry),
            ("limits.max_connections", self.limits.max_connections != next.limits.max_connections),
            ("limits.header_timeout", self.limits.header_timeout != next.limits.header_timeout),
            ("limits.drain_timeout", self.limits.drain_timeout != next.limits.drain_timeout),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// This configuration with those keys of a running one that only a restart changes: what is in
    /// force after a reload.
    #[must_use]
    pub(crate) fn in_place_of(&self, running: &Self) -> Self {
        // The default of `auth.required` goes with the address in the file. Until that one is served
        // on, a call must not need less than now.
        let required = self.auth.required || (self.listen != running.listen && running.auth.required);
        let mut next = Self {
            listen: running.listen,
            data_dir: running.data_dir.clone(),
            database: running.database.clone(),
            journal: running.journal,
            stores_responses: running.stores_responses,
            runs: running.runs.clone(),
            audit: running.audit.clone(),
            telemetry: running.telemetry.clone(),
            limits: Limits { max_body_bytes: self.limits.max_body_bytes, ..running.limits },
            auth: Auth { required },
            ..self.clone()
        };
        next.digests = document::digests(&next);
        next
    }
}
