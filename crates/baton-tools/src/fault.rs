//! Why a server, or one call of it, came to nothing.
//!
//! A fault is told to three readers: the client (`mcp_server_errors`), the model (the result of its
//! call) and the log. So it never holds a header, an argument or a result, and what a server wrote into
//! its error is cut and shown with its hidden characters.

use std::time::Duration;

use baton_net::egress::SendErrorKind;

use crate::shown;

/// The most characters of a server's own error text that are repeated.
const MAX_SAID: usize = 400;

/// What went wrong, as a word for records and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// No server of this name is configured.
    UnknownServer,
    /// The URL is none that a request may name.
    UrlNotAllowed,
    /// The host leads to an address that this URL may not reach.
    AddressRefused,
    /// No connection came about, or the program did not start.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The server wants a credential, or refuses the one it gets.
    Unauthorized,
    /// The server sent the caller elsewhere.
    Redirected,
    /// An HTTP status that is none of the above.
    HttpError,
    /// Not MCP, or not as it is agreed.
    ProtocolError,
    /// More bytes than are read.
    TooLarge,
    /// More messages that nobody asked for than are read.
    Flooded,
    /// The connection ended.
    Closed,
    /// A tool is not what it was when it was pinned.
    DefinitionChanged,
    /// More tools, servers or calls than are taken.
    LimitReached,
    /// The arguments are no JSON object.
    BadArguments,
    /// No tool of this name is offered.
    UnknownTool,
    /// The tool wants something of the caller that a gateway cannot give.
    InputRequired,
    /// The server refused the call with an error of its own.
    Refused,
}

impl ErrorCode {
    /// The code as it is recorded and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownServer => "unknown_server",
            Self::UrlNotAllowed => "url_not_allowed",
            Self::AddressRefused => "address_refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Redirected => "redirected",
            Self::HttpError => "http_error",
            Self::ProtocolError => "protocol_error",
            Self::TooLarge => "too_large",
            Self::Flooded => "flooded",
            Self::Closed => "closed",
            Self::DefinitionChanged => "definition_changed",
            Self::LimitReached => "limit_reached",
            Self::BadArguments => "bad_arguments",
            Self::UnknownTool => "unknown_tool",
            Self::InputRequired => "input_required",
            Self::Refused => "refused",
        }
    }

    /// What whoever can mend it should do.
    pub(crate) fn recommendation(self) -> &'static str {
        match self {
            Self::UnknownServer => "check the name, or ask the operator to add it to `mcp_servers`",
            Self::UrlNotAllowed => {
                "ask the operator to add the server to `mcp_servers`, or its URL to `mcp_allow_urls`"
            }
            Self::AddressRefused => {
                "only the configuration may name servers in a private network: ask the operator to add it to `mcp_servers`"
            }
            Self::Unreachable => "check that the server is running and that its URL or command is right",
            Self::Timeout => "try again later, or ask the operator to raise the server's timeouts",
            Self::Unauthorized => "ask the operator to set the server's `headers`",
            Self::Redirected => "use the URL that the server redirects to; redirects are not followed",
            Self::HttpError | Self::ProtocolError => "check that the URL is the MCP endpoint of the server",
            Self::TooLarge | Self::Flooded => "the server sends more than is read: report it to its maker",
            Self::Closed => "try again; the connection is made anew",
            Self::DefinitionChanged => "ask the operator to look at the change and approve it",
            Self::LimitReached => "name fewer servers, or make fewer calls",
            Self::BadArguments => "call the tool again with a JSON object as its arguments",
            Self::UnknownTool => "call one of the tools that are offered",
            Self::InputRequired => "use another tool: nobody can answer the server's questions here",
            Self::Refused => "correct the call",
        }
    }
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the host leads to an address that may not be reached")]
    AddressRefused,
    #[error("no connection: {0}")]
    Unreachable(&'static str),
    #[error("the program did not start: {0}")]
    NotStarted(std::io::ErrorKind),
    #[error("no answer within {}", seconds(.0))]
    Timeout(Duration),
    #[error("the server answered {0}: it wants another credential")]
    Unauthorized(u16),
    #[error("the server answered {0}: it redirects")]
    Redirected(u16),
    #[error("the server answered {0}")]
    Status(u16),
    #[error("the server's answer is not MCP: {0}")]
    Protocol(&'static str),
    #[error("the server sent more than {0} bytes at once")]
    TooLarge(usize),
    #[error("the server sent too many messages that nobody asked for")]
    Flooded,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server lists more tools than are taken")]
    TooManyTools,
    #[error("the tool wants an answer from a person, or another request of the caller")]
    InputRequired,
    #[error("the server answered with error {code}: {said}")]
    Refused { code: i32, said: String },
}

impl Fault {
    /// An error that the server wrote.
    pub(crate) fn refused(code: i32, said: &str) -> Self {
        let said = shown::visible(said).chars().take(MAX_SAID).collect();
        Self::Refused { code, said }
    }

    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::AddressRefused => ErrorCode::AddressRefused,
            Self::Unreachable(_) | Self::NotStarted(_) => ErrorCode::Unreachable,
            Self::Timeout(_) => ErrorCode::Timeout,
            Self::Unauthorized(_) => ErrorCode::Unauthorized,
            Self::Redirected(_) => ErrorCode::Redirected,
            Self::Status(_) => ErrorCode::HttpError,
            Self::Protocol(_) => ErrorCode::ProtocolError,
            Self::TooLarge(_) => ErrorCode::TooLarge,
            Self::Flooded => ErrorCode::Flooded,
            Self::Closed => ErrorCode::Closed,
            Self::TooManyTools => ErrorCode::LimitReached,
            Self::InputRequired => ErrorCode::InputRequired,
            Self::Refused { .. } => ErrorCode::Refused,
        }
    }
}

impl From<SendErrorKind> for Fault {
    fn from(kind: SendErrorKind) -> Self {
        match kind {
            SendErrorKind::Blocked => Self::AddressRefused,
            SendErrorKind::Protocol => Self::Protocol("it is no HTTP"),
            other => Self::Unreachable(other.as_str()),
        }
    }
}

fn seconds(duration: &Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
