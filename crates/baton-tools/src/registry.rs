//! Knows the servers, finds those a request names, and keeps their connections.
//!
//! A connection is made when a request first names its server, used by all runs at once, made anew when it
//! is dead, and closed after five minutes without use or when a reload changes its server. A server that
//! failed is not asked again at once: a request would wait for it in vain.
//!
//! - Start with [`Registry::open`].
//! - **Invariant:** a URL that came with a request is filtered by address, one from the file is not.
//! - **Never here:** what a tool is called by models; that is [`ToolSet`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::{ClientError, Trust};
use baton_net::tasks::Tasks;
use baton_telemetry::genai::SPAN_TARGET;
use futures_util::future::{BoxFuture, join_all};
use rmcp::model::JsonObject;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

use crate::definition::Definition;
use crate::fault::{ErrorCode, Fault};
use crate::link::Link;
use crate::outcome::Outcome;
use crate::pins::{Judged, Pins};
use crate::reference::Place;
use crate::tool_set::{Bound, Opened};
use crate::{
    PinError, PinnedServer, Server, ServerError, ServerLimits, ServerRef, ServerUrl, ToolSet, ToolSettings,
    Transport,
};

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(300);

/// How often idle connections are looked for.
const LOOK: Duration = Duration::from_secs(30);

/// How long a server that failed is not asked again.
const REST: Duration = Duration::from_secs(5);

/// The most servers that are known by the URL of a request.
const MAX_BY_URL: usize = 256;

/// All MCP servers. Clones share everything.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Shared>);

/// Why no registry can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The pins cannot be read.
    #[error("the pins of MCP tools cannot be read")]
    Pins(#[from] PinError),
    /// No HTTP client can be made.
    #[error("no HTTP client for MCP servers can be made")]
    Client(#[from] ClientError),
}

#[derive(Debug)]
struct Shared {
    settings: RwLock<Arc<ToolSettings>>,
    lines: Mutex<HashMap<Key, Arc<Line>>>,
    pins: Pins,
    by_operator: HttpClient,
    by_request: HttpClient,
    tasks: Tasks,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Url(String),
}

/// One server and its connection, if there is one.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) server: Server,
    trust: Trust,
    state: tokio::sync::Mutex<State>,
    used: Mutex<Instant>,
}

#[derive(Debug)]
enum State {
    Closed,
    Open(Arc<Link>),
    Failed(Fault, Instant),
}

impl Registry {
    /// Makes the registry. Tools are pinned in the file `pins`. Call it inside a runtime.
    ///
    /// # Errors
    /// When the file holds something else, or the machine's certificates cannot be used.
    pub fn new(settings: ToolSettings, pins: PathBuf, tasks: Tasks) -> Result<Self, RegistryError> {
        let shared = Arc::new(Shared {
            settings: RwLock::new(Arc::new(settings)),
            lines: Mutex::new(HashMap::new()),
            pins: Pins::open(pins)?,
            by_operator: HttpClient::new(ClientOptions::new(Trust::Operator))?,
            by_request: HttpClient::new(ClientOptions::new(Trust::Filtered))?,
            tasks,
        });
        let tending = tend(Arc::downgrade(&shared), shared.tasks.stop_token().clone());
        drop(shared.tasks.spawn(tending));
        Ok(Self(shared))
    }

    /// Takes new settings. Connections of servers that changed or went away end with their last call.
    pub fn apply(&self, settings: ToolSettings) {
        let mut lines = self.0.lines();
        lines.retain(|key, line| match key {
            Key::Name(_) => settings.servers.contains(&line.server),
            Key::Url(_) => match &line.server.transport {
                Transport::Http { url, .. } => settings.allow_urls.iter().any(|allowed| allowed.matches(url)),
                Transport::Stdio { .. } => false,
            },
        });
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Opens what a request names: all at once, each within `patience` and its own time to connect.
    ///
    /// Servers that are connected and listed cost no call. A server that fails is in
    /// [`ToolSet::errors`], and the others are there.
    // Boxed, so that the protocol's code is compiled here and not once more in each crate that waits for it.
    pub fn open<'a>(&'a self, refs: &'a [ServerRef], patience: Duration) -> BoxFuture<'a, ToolSet> {
        Box::pin(self.opened(refs, patience))
    }

    /// Opens more servers for the same run; those that are open already stay as they are.
    pub fn open_more<'a>(
        &'a self,
        set: &'a mut ToolSet,
        refs: &'a [ServerRef],
        patience: Duration,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (opened, errors) = self.look_up(refs, set.lines(), patience).await;
            set.extend(opened, errors);
        })
    }

    /// Takes every changed tool of a server as it is now. Gives the names of those that changed.
    ///
    /// # Errors
    /// When no such server was seen, or the file cannot be written.
    pub fn approve(&self, server: &str) -> Result<Vec<String>, PinError> {
        self.0.pins.approve(server)
    }

    /// Every tool that is pinned, and which of them changed.
    #[must_use]
    pub fn pins(&self) -> Vec<PinnedServer> {
        self.0.pins.all()
    }

    /// Closes every connection; calls that run go on. The next request or call makes new ones.
    pub fn close(&self) {
        self.0.close();
    }

    /// Calls a tool as it was offered. Boxed for the same reason.
    pub(crate) fn call<'a>(
        &'a self,
        bound: &'a Bound,
        arguments: JsonObject,
        patience: Duration,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(self.called(bound, arguments, patience))
    }

    async fn opened(&self, refs: &[ServerRef], patience: Duration) -> ToolSet {
        let (opened, errors) = self.look_up(refs, &[], patience).await;
        ToolSet::new(self.clone(), opened, errors)
    }

    /// What these servers have, but for those that are open.
    async fn look_up(
        &self,
        refs: &[ServerRef],
        open: &[Arc<Line>],
        patience: Duration,
    ) -> (Vec<Opened>, Vec<ServerError>) {
        let settings = Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner));
        let mut errors = Vec::new();
        let mut found: Vec<(String, Arc<Line>)> = Vec::new();
        for server in refs {
            match self.0.find(&settings, server) {
                Ok((label, line)) => {
                    let mut others = open.iter().chain(found.iter().map(|(_, other)| other));
                    if !others.any(|other| Arc::ptr_eq(other, &line)) {
                        found.push((label, line));
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        let listing = found.iter().map(|(_, line)| self.0.tools_in_time(line, patience));
        let lists = join_all(listing).await;
        let mut opened = Vec::new();
        for ((label, line), list) in found.into_iter().zip(lists) {
            match list {
                Ok((_, tools)) => {
                    let judged = self.0.judge(&line, &tools);
                    opened.push(Opened { label, line, tools, judged });
                }
                Err(fault) => {
                    let (code, message) = (fault.code(), fault.to_string());
                    tracing::info!(server = %line.server.name, code = code.as_str(), "MCP server is left out: {message}");
                    errors.push(ServerError::new(label, code, message));
                }
            }
        }
        (opened, errors)
    }

    async fn called(&self, bound: &Bound, arguments: JsonObject, patience: Duration) -> Outcome {
        let line = &bound.line;
        let limit = patience.min(line.server.limits.call_timeout);
        let span = call_span(&line.server.name, &bound.tool);
        line.touch();
        let calling = self.0.call(bound, arguments).instrument(span.clone());
        let outcome =
            timeout(limit, calling).await.unwrap_or_else(|_elapsed| Outcome::failed(&Fault::Timeout(limit)));
        line.touch();
        if let Some(code) = outcome.code {
            span.record("error.type", code.as_str());
        } else if outcome.is_error {
            span.record("error.type", "tool_error");
        }
        outcome
    }
}

/// The span of one call, by the names of the conventions for MCP.
fn call_span(server: &str, tool: &str) -> Span {
    tracing::info_span!(
        target: SPAN_TARGET,
        "tools/call",
        otel.name = %format_args!("tools/call {tool}"),
        otel.kind = "client",
        "mcp.method.name" = "tools/call",
        "gen_ai.operation.name" = "execute_tool",
        "gen_ai.tool.name" = tool,
        "mcp.server.name" = server,
        "error.type" = tracing::field::Empty,
    )
}

/// Closes what is idle, until the registry is gone or the process stops.
async fn tend(shared: Weak<Shared>, stop: tokio_util::sync::CancellationToken) {
    loop {
        let stopped = stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none();
        let Some(shared) = shared.upgrade() else { return };
        if stopped {
            shared.close();
            return;
        }
        shared.close_idle();
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of a reference, and what the request calls it.
    fn find(&self, settings: &ToolSettings, named: &ServerRef) -> Result<(String, Arc<Line>), ServerError> {
        let configured = match &named.place {
            Place::Slug(slug) => settings.named(slug),
            Place::Url(url) => settings.at(url),
        };
        match (configured, &named.place) {
            (Some(server), _) => {
                let key = Key::Name(server.name.clone());
                let line = self.line(key, || Line::new(server.clone(), Trust::Operator));
                Ok((server.name.clone(), line))
            }
            (None, Place::Slug(slug)) => {
                let message = "no server of this name is configured".to_owned();
                Err(ServerError::new(slug.clone(), ErrorCode::UnknownServer, message))
            }
            (None, Place::Url(url)) => {
                // A request must not speak in the name of a configured server.
                let free = |label: &&String| settings.named(label).is_none();
                let label =
                    named.label.as_ref().filter(free).cloned().unwrap_or_else(|| url.host().to_owned());
                if !settings.allow_urls.iter().any(|allowed| allowed.matches(url)) {
                    let message = "no request may name this URL".to_owned();
                    return Err(ServerError::new(label, ErrorCode::UrlNotAllowed, message));
                }
                let key = Key::Url(url.to_string());
                let line = self.line(key, || Line::new(by_url(url), Trust::Filtered));
                Ok((label, line))
            }
        }
    }

    fn line(&self, key: Key, new: impl FnOnce() -> Line) -> Arc<Line> {
        let mut lines = self.lines();
        if let Some(line) = lines.get(&key) {
            line.touch();
            return Arc::clone(line);
        }
        if matches!(key, Key::Url(_)) {
            make_room(&mut lines);
        }
        let line = Arc::new(new());
        lines.insert(key, Arc::clone(&line));
        line
    }

    fn close(&self) {
        // Runs hold lines too, so that taking them out of the map would close nothing.
        self.lines().drain().for_each(|(_, line)| line.close());
    }

    fn close_idle(&self) {
        self.lines().retain(|key, line| {
            let is_idle = line.idle() >= IDLE;
            if is_idle {
                line.close();
            }
            !(is_idle && matches!(key, Key::Url(_)))
        });
    }

    fn judge(&self, line: &Line, tools: &[Definition]) -> Judged {
        let server = &line.server;
        self.pins.judge(&line.pinned_as(), &server.transport.place(), tools, &self.tasks)
    }

    async fn tools_in_time(
        &self,
        line: &Line,
        patience: Duration,
    ) -> Result<(Arc<Link>, Arc<[Definition]>), Fault> {
        let own = line.server.limits.connect_timeout;
        let limit = patience.min(own);
        match timeout(limit, self.tools(line)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let fault = Fault::Timeout(limit);
                // A request in a hurry says nothing about the server.
                if limit == own {
                    line.rest(fault.clone());
                }
                Err(fault)
            }
        }
    }

    /// The connection and its tools; a connection that was kept and does not answer is made anew once.
    async fn tools(&self, line: &Line) -> Result<(Arc<Link>, Arc<[Definition]>), Fault> {
        let (link, kept) = self.link(line).await?;
        let fault = match link.tools().await {
            Ok(tools) => return Ok((link, tools)),
            Err(fault) => fault,
        };
        line.drop_link(&link).await;
        if !kept {
            return Err(fault);
        }
        let (link, _) = self.link(line).await?;
        let tools = link.tools().await?;
        Ok((link, tools))
    }

    /// The open connection, or a new one; and whether it was there before.
    async fn link(&self, line: &Line) -> Result<(Arc<Link>, bool), Fault> {
        let mut state = line.state.lock().await;
        match &*state {
            State::Open(link) if !link.is_closed() => return Ok((Arc::clone(link), true)),
            State::Failed(fault, at) if at.elapsed() < REST => return Err(fault.clone()),
            State::Open(_) | State::Failed(..) | State::Closed => {}
        }
        let client = match line.trust {
            Trust::Operator => &self.by_operator,
            Trust::Filtered => &self.by_request,
        };
        *state = State::Closed;
        match Link::connect(&line.server.transport, client, &self.tasks).await {
            Ok(link) => {
                let link = Arc::new(link);
                *state = State::Open(Arc::clone(&link));
                Ok((link, false))
            }
            Err(fault) => {
                *state = State::Failed(fault.clone(), Instant::now());
                Err(fault)
            }
        }
    }

    async fn call(&self, bound: &Bound, arguments: JsonObject) -> Outcome {
        let line = &bound.line;
        let (link, tools) = match self.tools_in_time(line, Duration::MAX).await {
            Ok(ready) => ready,
            Err(fault) => return Outcome::failed(&fault),
        };
        let Some(now) = tools.iter().find(|tool| tool.name == bound.tool) else {
            return Outcome::refused(ErrorCode::UnknownTool, "the server no longer has this tool");
        };
        if now.hash != bound.hash {
            // Written down, so that it can be approved.
            self.judge(line, &tools);
            return Outcome::refused(
                ErrorCode::DefinitionChanged,
                "the server changed this tool, and nobody approved the change yet",
            );
        }
        match link.call(&bound.tool, arguments).await {
            Ok(result) => Outcome::of(result, line.server.limits.max_result),
            Err(fault) => Outcome::failed(&fault),
        }
    }
}

/// A server that only a request names: it gets no header, and the usual limits.
fn by_url(url: &ServerUrl) -> Server {
    Server {
        name: url.to_string(),
        transport: Transport::Http { url: url.clone(), headers: http::HeaderMap::new() },
        tools: None,
        limits: ServerLimits::default(),
    }
}

/// Forgets the server that was named longest ago, when there are too many.
fn make_room(lines: &mut HashMap<Key, Arc<Line>>) {
    let by_url = || lines.iter().filter(|(key, _)| matches!(key, Key::Url(_)));
    if by_url().count() < MAX_BY_URL {
        return;
    }
    let oldest = by_url().max_by_key(|(_, line)| line.idle()).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        lines.remove(&oldest);
    }
}

impl Line {
    fn new(server: Server, trust: Trust) -> Self {
        let state = tokio::sync::Mutex::new(State::Closed);
        Self { server, trust, state, used: Mutex::new(Instant::now()) }
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// What its pins stand under. A configured name is never a URL.
    pub(crate) fn pinned_as(&self) -> String {
        self.server.name.clone()
    }

    /// Gives the connection up. Who holds the lock is connecting, so that there is none.
    fn close(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            *state = State::Closed;
        }
    }

    fn rest(&self, fault: Fault) {
        // Who holds the lock is connecting, and will say how that ended.
        if let Ok(mut state) = self.state.try_lock() {
            *state = State::Failed(fault, Instant::now());
        }
    }

    async fn drop_link(&self, link: &Arc<Link>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Open(current) if Arc::ptr_eq(current, link)) {
            *state = State::Closed;
        }
    }
}
