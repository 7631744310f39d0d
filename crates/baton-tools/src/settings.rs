//! What an operator says of MCP servers, checked.
//!
//! - Start with [`ToolSettings`].
//! - **Invariant:** a command comes from here alone. A request can name a server, never start one.
//! - **Never here:** reading of files, connections.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use baton_model::Secret;
use http::HeaderMap;

mod url;

pub use url::{ServerUrl, UrlError, UrlPattern};

/// Every server that is configured, and what a request may add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolSettings {
    /// The servers, each name once.
    pub servers: Vec<Server>,
    /// Which URLs a request may name beyond those of the servers. None by default.
    pub allow_urls: Vec<UrlPattern>,
}

impl ToolSettings {
    /// The configured server that a slug names: as it is written, else without `docker:` and `@version`.
    pub(crate) fn named(&self, slug: &str) -> Option<&Server> {
        let bare = slug.strip_prefix("docker:").unwrap_or(slug);
        let unversioned = bare.split_once('@').map_or(bare, |(name, _version)| name);
        let is = |name: &str| self.servers.iter().find(|server| server.name == name);
        [slug, bare, unversioned].into_iter().find_map(is)
    }

    /// The configured server at a URL.
    pub(crate) fn at(&self, url: &ServerUrl) -> Option<&Server> {
        self.servers
            .iter()
            .find(|server| matches!(&server.transport, Transport::Http { url: own, .. } if own == url))
    }
}

/// One MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What requests and records call it: `files`, `acme/search`.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// The tools that are offered; `None` is all of them.
    pub tools: Option<Vec<String>>,
    /// What it may take.
    pub limits: ServerLimits,
}

/// How a server is reached. Printed without what may be secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http {
        /// The one endpoint.
        url: ServerUrl,
        /// Sent with every call.
        headers: HeaderMap,
    },
    /// A program of this machine that speaks over its standard input and output.
    Stdio {
        /// The program and its arguments; never empty.
        command: Vec<String>,
        /// Its environment, beside `PATH`. Nothing else of Baton's own is passed on.
        env: Vec<(String, Secret<String>)>,
    },
}

impl Transport {
    /// Where the server is, as its pins keep it. Without headers and values of variables, which are secrets.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Http { url, .. } => url.to_string(),
            Self::Stdio { command, .. } => {
                let joined: Vec<String> =
                    command.iter().map(|part| format!("{}:{part}", part.len())).collect();
                let hash = digest(&SHA256, joined.concat().as_bytes());
                hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
            }
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers } => {
                let names: Vec<_> = headers.keys().collect();
                f.debug_struct("Http").field("url", url).field("headers", &names).finish()
            }
            Self::Stdio { command, .. } => {
                f.debug_struct("Stdio").field("program", &command.first()).finish()
            }
        }
    }
}

/// What a server may take of time and room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// From the start of a connection to the end of the first list of tools.
    pub connect_timeout: Duration,
    /// From the start of a call to the end of its result.
    pub call_timeout: Duration,
    /// How many bytes of a result a model gets. What is longer is cut.
    pub max_result: usize,
    /// How many calls one run may make.
    pub max_calls: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(60),
            max_result: 256 << 10,
            max_calls: 64,
        }
    }
}
