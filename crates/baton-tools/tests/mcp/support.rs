//! Servers and registries for the tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use baton_net::serve::{Drain, ServeOptions, serve};
use baton_net::tasks::Tasks;
use baton_tools::{Called, Registry, Server, ServerLimits, ServerRef, ToolSet, ToolSettings, Transport};
use http::HeaderMap;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, streamable_http_server::StreamableHttpService};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::honest::Honest;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A registry with a folder of its own.
pub(crate) struct Gateway {
    pub(crate) registry: Registry,
    pub(crate) folder: TempDir,
    pub(crate) tasks: Tasks,
}

impl Gateway {
    pub(crate) fn new(settings: ToolSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let tasks = Tasks::new();
        let registry = Registry::new(settings, folder.path().join("mcp-pins.json"), tasks.clone()).unwrap();
        Self { registry, folder, tasks }
    }

    /// With one server.
    pub(crate) fn of(server: Server) -> Self {
        Self::new(ToolSettings { servers: vec![server], allow_urls: Vec::new() })
    }

    pub(crate) async fn open(&self, name: &str) -> ToolSet {
        self.registry.open(&[ServerRef::slug(name)], PATIENCE).await
    }

    /// Waits for the pins to be written beside the requests.
    pub(crate) async fn pinned(&self) {
        let file = self.folder.path().join("mcp-pins.json");
        until(|| file.exists()).await;
    }

    /// The same pins, as after a restart.
    pub(crate) fn restarted(&self, settings: ToolSettings) -> Registry {
        Registry::new(settings, self.folder.path().join("mcp-pins.json"), self.tasks.clone()).unwrap()
    }
}

/// `code: message`, or the names of the tools.
pub(crate) fn shown(set: &ToolSet) -> String {
    let tools = set.tools().iter().map(|tool| tool.name.clone());
    let errors = set
        .errors()
        .iter()
        .map(|error| format!("{}: {}: {}", error.server, error.code.as_str(), error.message));
    tools.chain(errors).collect::<Vec<_>>().join("\n")
}

pub(crate) async fn call(set: &ToolSet, name: &str, arguments: &str) -> Called {
    set.call(name, arguments, PATIENCE).await
}

/// A call's text, with the code of what came in the way before it.
pub(crate) async fn said(set: &ToolSet, name: &str, arguments: &str) -> String {
    let called = call(set, name, arguments).await;
    match called.code {
        Some(code) => format!("{}: {}", code.as_str(), called.text),
        None => called.text,
    }
}

pub(crate) fn http(name: &str, url: &str) -> Server {
    Server {
        name: name.to_owned(),
        transport: Transport::Http { url: url.parse().unwrap(), headers: HeaderMap::new() },
        tools: None,
        limits: ServerLimits::default(),
    }
}

pub(crate) fn stdio(name: &str, command: &[&str]) -> Server {
    Server {
        name: name.to_owned(),
        transport: Transport::Stdio {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            env: Vec::new(),
        },
        tools: None,
        limits: ServerLimits::default(),
    }
}

/// The example that is built beside the tests.
pub(crate) fn honest_stdio() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/honest_stdio")
}

/// A server that ends when dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    _ends: DropGuard,
}

impl Serving {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

/// Serves a service on a free port.
pub(crate) async fn serving<S, B>(service: S) -> Serving
where
    S: tower::Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<B>,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data: Send, Error: Into<baton_net::BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let end = CancellationToken::new();
    let drain = Drain::new(end.clone(), Duration::ZERO);
    let tasks = Tasks::new();
    drop(tasks.spawn(serve(listener, service, ServeOptions::default(), drain, tasks.clone())));
    Serving { address, _ends: end.drop_guard() }
}

/// Serves the honest server over streamable HTTP.
pub(crate) async fn honest(server: &Honest) -> Serving {
    let server = server.clone();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    serving(service).await
}

/// Lets the other tasks run until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
