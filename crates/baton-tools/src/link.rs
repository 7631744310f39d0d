//! One connection to one MCP server.
//!
//! - Start with [`Link::connect`].
//! - **Invariant:** every wait ends by a deadline of the caller.
//! - **Invariant:** what a server asks of its client (sampling, elicitation, roots) is refused.
//! - **Never here:** which servers there are, what a tool is called by models, pins.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_net::client::HttpClient;
use baton_net::tasks::Tasks;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ClientResult,
    ErrorCode, ErrorData, Implementation, JsonObject, PaginatedRequestParams, ProtocolVersion,
    ServerNotification, ServerRequest, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::Transport as RmcpTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::{ClientCacheConfig, ClientLifecycleMode, ClientServiceExt, RoleClient, Service, ServiceError};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::settings::Transport;

mod guard;
mod http;
mod stdio;
mod trouble;

use guard::Guard;
use http::Endpoint;
use stdio::Program;
use trouble::Trouble;

/// The most bytes of one message, whatever a server's own limit for models is.
pub(crate) const HARD_LIMIT: usize = 16 << 20;

/// The most bytes of the stream that answers one request, notifications included.
const STREAM_LIMIT: usize = 64 << 20;

/// The most tools of one server.
const MAX_TOOLS: usize = 512;

/// The most pages of one list.
const MAX_PAGES: usize = 64;

/// How long a list of tools is taken as it is.
const LIST_AGE: Duration = Duration::from_secs(300);

/// How often the stream for notices is opened again.
const MAX_RECONNECTS: usize = 3;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    service: RunningService<RoleClient, Caller>,
    changed: Arc<AtomicBool>,
    trouble: Trouble,
    list: Mutex<Option<Listed>>,
    /// Lists of several requests at once are one.
    listing: tokio::sync::Mutex<()>,
    _closes: DropGuard,
}

#[derive(Clone, Debug)]
struct Listed {
    tools: Arc<[Definition]>,
    at: Instant,
}

impl Link {
    /// Connects, and agrees on the protocol: 2026-07-28 if the server knows it, else with `initialize`.
    pub(crate) async fn connect(
        transport: &Transport,
        client: &HttpClient,
        tasks: &Tasks,
    ) -> Result<Self, Fault> {
        let trouble = Trouble::default();
        let closed = CancellationToken::new();
        let closes = closed.clone().drop_guard();
        let changed = Arc::new(AtomicBool::new(false));
        let caller = Caller { changed: Arc::clone(&changed) };
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: ProtocolVersion::KNOWN_VERSIONS.iter().rev().cloned().collect(),
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let service = match transport {
            Transport::Http { url, headers } => {
                let endpoint = Endpoint {
                    client: client.clone(),
                    headers: Arc::new(headers.clone()),
                    trouble: trouble.clone(),
                    closed,
                };
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                let mut retries = ExponentialBackoff::default();
                retries.max_times = Some(MAX_RECONNECTS);
                config.retry_config = Arc::new(retries);
                let transport = StreamableHttpClientTransport::with_client(endpoint, config);
                serve(caller, Guard::new(transport, trouble.clone()), lifecycle).await
            }
            Transport::Stdio { command, env } => {
                let program = Program::start(command, env, env::var_os("PATH"), trouble.clone())?;
                serve(caller, Guard::new(program, trouble.clone()), lifecycle).await
            }
        };
        let service = service.map_err(|fault| trouble.take().unwrap_or(fault))?;
        // Its pages are cached here, with the pins in view.
        service.set_response_cache_config(ClientCacheConfig::disabled()).await;
        let link = Self {
            service,
            changed,
            trouble,
            list: Mutex::new(None),
            listing: tokio::sync::Mutex::new(()),
            _closes: closes,
        };
        link.listen(tasks);
        Ok(link)
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.service.is_transport_closed() || self.service.is_closed()
    }

    /// The server's tools: as last listed, or asked for when that is long ago or the server says that
    /// they changed.
    pub(crate) async fn tools(&self) -> Result<Arc<[Definition]>, Fault> {
        if let Some(tools) = self.listed() {
            return Ok(tools);
        }
        let _one_at_a_time = self.listing.lock().await;
        if let Some(tools) = self.listed() {
            return Ok(tools);
        }
        // A notice that comes from here on means another list.
        self.changed.store(false, Ordering::Release);
        let tools: Arc<[Definition]> = match self.list().await {
            Ok(tools) => tools.into(),
            Err(fault) => {
                self.changed.store(true, Ordering::Release);
                return Err(fault);
            }
        };
        let listed = Listed { tools: Arc::clone(&tools), at: Instant::now() };
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
        Ok(tools)
    }

    /// The list, while it is good.
    fn listed(&self) -> Option<Arc<[Definition]>> {
        if self.changed.load(Ordering::Acquire) {
            return None;
        }
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.as_ref().filter(|list| list.at.elapsed() < LIST_AGE).map(|list| Arc::clone(&list.tools))
    }

    async fn list(&self) -> Result<Vec<Definition>, Fault> {
        let mut tools: Vec<Definition> = Vec::new();
        let mut cursor = None;
        for _page in 0..MAX_PAGES {
            let mut page = PaginatedRequestParams::default();
            page.cursor = cursor;
            let page = self.service.list_tools(Some(page)).await.map_err(|error| self.fault(error))?;
            for tool in page.tools {
                let tool = Definition::of(&tool);
                // The first of two with one name counts: the second could only hide it.
                if tools.iter().all(|other| other.name != tool.name) {
                    tools.push(tool);
                }
                if tools.len() > MAX_TOOLS {
                    return Err(Fault::TooManyTools);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(Fault::TooManyTools)
    }

    /// Calls a tool. Dropping the future tells the server that nobody waits any more.
    pub(crate) async fn call(&self, tool: &str, arguments: JsonObject) -> Result<CallToolResult, Fault> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match self.service.peer().call_tool_once(request).await.map_err(|error| self.fault(error))? {
            CallToolResponse::Complete(result) => Ok(result),
            _ => Err(Fault::InputRequired),
        }
    }

    fn fault(&self, error: ServiceError) -> Fault {
        match error {
            ServiceError::McpError(error) => {
                // rmcp makes such an error of its own when a stream breaks off.
                self.trouble.take().unwrap_or_else(|| Fault::refused(error.code.0, &error.message))
            }
            ServiceError::TransportSend(error) => {
                match error.error.downcast::<StreamableHttpError<Fault>>() {
                    Ok(error) => http_fault(*error),
                    Err(_other) => self.trouble.take().unwrap_or(Fault::Closed),
                }
            }
            ServiceError::UnexpectedResponse => Fault::Protocol("it is no result of this request"),
            _ => self.trouble.take().unwrap_or(Fault::Closed),
        }
    }

    /// Asks a server of 2026-07-28 to tell when its tools change; older ones do so unasked.
    fn listen(&self, tasks: &Tasks) {
        let Some(peer) = self.service.peer_info() else { return };
        let tells = peer.capabilities.tools.as_ref().is_some_and(|tools| tools.list_changed == Some(true));
        if !tells || peer.protocol_version < ProtocolVersion::V_2026_07_28 {
            return;
        }
        let peer = self.service.peer().clone();
        let changed = Arc::clone(&self.changed);
        let listening = async move {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            let Ok(mut subscription) = peer.listen(filter).await else { return };
            while let Ok(Some(_notice)) = subscription.next().await {
                changed.store(true, Ordering::Release);
            }
        };
        let stop = tasks.stop_token().clone();
        drop(tasks.spawn(async move { stop.run_until_cancelled(listening).await }));
    }
}

async fn serve<T>(
    caller: Caller,
    transport: Guard<T>,
    lifecycle: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, Caller>, Fault>
where
    T: RmcpTransport<RoleClient> + 'static,
{
    caller.serve_with_lifecycle(transport, lifecycle).await.map_err(start_fault)
}

fn start_fault(error: rmcp::service::ClientInitializeError) -> Fault {
    use rmcp::service::ClientInitializeError as Error;
    match error {
        Error::TransportError { error, .. } => error
            .error
            .downcast::<StreamableHttpError<Fault>>()
            .map_or(Fault::Closed, |error| http_fault(*error)),
        Error::JsonRpcError(error) => Fault::refused(error.code.0, &error.message),
        Error::LegacyFallbackFailed { fallback, .. } => start_fault(*fallback),
        Error::NoCompatibleProtocolVersion { .. } => {
            Fault::Protocol("it speaks no version that is known here")
        }
        Error::ExpectedInitResponse(_)
        | Error::ExpectedInitResult(_)
        | Error::ConflictInitResponseId(..)
        | Error::UncorrelatedErrorResponse { .. } => Fault::Protocol("it does not answer what was asked"),
        _ => Fault::Closed,
    }
}

fn http_fault(error: StreamableHttpError<Fault>) -> Fault {
    match error {
        StreamableHttpError::Client(fault) => fault,
        StreamableHttpError::Deserialize(_) => Fault::Protocol("it is no JSON-RPC message"),
        StreamableHttpError::UnexpectedServerResponse(_)
        | StreamableHttpError::MissingSessionIdInResponse => {
            Fault::Protocol("it does not follow the transport's rules")
        }
        _ => Fault::Closed,
    }
}

/// The client that servers see: it gives nothing.
#[derive(Debug)]
struct Caller {
    changed: Arc<AtomicBool>,
}

impl Service<RoleClient> for Caller {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client answers no requests", None)),
        }
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if matches!(notification, ServerNotification::ToolListChangedNotification(_)) {
            self.changed.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        let baton = Implementation::new("baton", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), baton)
    }
}
