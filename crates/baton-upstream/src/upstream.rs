//! One provider, ready to send.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{Dialect, Fault, FaultKind, ModelName, ProviderName, Secret};
use baton_net::body::Chunks;
use baton_net::client::HttpClient;
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use crate::base_url::BaseUrl;
use crate::fault::{fault_of, of_send};
use crate::headers::{HeaderPlan, PlanError};
use crate::{
    Call, CallPath, ConfigError, Credential, ModelNames, ProviderConfig, Quirks, UpstreamBody,
    UpstreamResponse, echo,
};

/// One provider, ready to send. A clone shares everything.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: ProviderName,
    dialect: Dialect,
    responses: bool,
    models: ModelNames,
    quirks: Quirks,
    backend: Backend,
}

enum Backend {
    Http(Box<Http>),
    Echo,
}

struct Http {
    client: HttpClient,
    /// For calls that wait for a connection for another time than the usual.
    others: Vec<(Duration, HttpClient)>,
    base_url: BaseUrl,
    headers: HeaderPlan,
    /// To find and hide them in what a provider says.
    secrets: Vec<Secret<String>>,
}

impl Upstream {
    /// A provider that is reached over the network. The client has its proxy and certificates.
    ///
    /// # Errors
    /// [`ConfigError`] when a key or header of the configuration cannot be sent.
    pub fn new(config: ProviderConfig, client: HttpClient) -> Result<Self, ConfigError> {
        Self::with_clients(config, client, Vec::new())
    }

    /// The same, with clients that wait for a connection for another time, by that time.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_clients(
        config: ProviderConfig,
        client: HttpClient,
        others: Vec<(Duration, HttpClient)>,
    ) -> Result<Self, ConfigError> {
        let headers = HeaderPlan::new(&config).map_err(|error| match error {
            PlanError::Header(header) => ConfigError::Header { provider: config.name.clone(), header },
            PlanError::Credential(at) => {
                ConfigError::Credential { provider: config.name.clone(), number: at + 1 }
            }
        })?;
        let ProviderConfig { name, dialect, responses, base_url, credentials, models, quirks, .. } = config;
        let backend =
            Backend::Http(Box::new(Http { client, others, base_url, headers, secrets: credentials }));
        Ok(Self(Arc::new(Inner { name, dialect, responses, models, quirks, backend })))
    }

    /// The built-in provider `echo`, which answers in process.
    #[must_use]
    pub fn echo() -> Self {
        #[expect(clippy::expect_used, reason = "the names are ours, and a test makes this upstream")]
        let name = |text: &str| text.parse().expect("a built-in name follows the naming rule");
        let models = echo::NAMES.into_iter().filter_map(|model| model.parse::<ModelName>().ok()).collect();
        Self(Arc::new(Inner {
            name: name("echo"),
            dialect: Dialect::OpenaiChat,
            responses: false,
            models: ModelNames::Listed(models),
            quirks: Quirks::NONE,
            backend: Backend::Echo,
        }))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.0.name
    }

    /// What it speaks, to clients of dialects that it does not speak.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// Whether it speaks a dialect.
    #[must_use]
    pub fn speaks(&self, dialect: Dialect) -> bool {
        let beside = self.0.responses && self.0.dialect == Dialect::OpenaiChat;
        dialect == self.0.dialect || beside && dialect == Dialect::OpenaiResponses
    }

    /// What it is spoken to in for a client of this dialect: the client's own where it speaks that.
    #[must_use]
    pub fn dialect_for(&self, client: Dialect) -> Dialect {
        if self.speaks(client) { client } else { self.0.dialect }
    }

    /// The endpoint for answers in a dialect that it speaks.
    #[must_use]
    pub fn answers_in(&self, dialect: Dialect) -> CallPath {
        if dialect == self.0.dialect { CallPath::Answers } else { CallPath::Responses }
    }

    /// What it does not take: the edits are for the caller, who knows the body.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.0.quirks
    }

    /// The models it is known to have.
    #[must_use]
    pub fn models(&self) -> &ModelNames {
        &self.0.models
    }

    /// Whether it has a model.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        match self.0.backend {
            Backend::Http(_) => self.0.models.contains(model),
            // Its names may carry parameters.
            Backend::Echo => echo::is_known(model),
        }
    }

    /// How many keys of its own it has.
    #[must_use]
    pub fn credential_count(&self) -> usize {
        match &self.0.backend {
            Backend::Http(http) => http.headers.credential_count(),
            Backend::Echo => 0,
        }
    }

    /// Sends a call and waits for the head of the answer. There is no deadline here but that of
    /// connecting; dropping the future ends the call.
    ///
    /// # Errors
    /// A [`Fault`] when there is no answer, or none that can be read. An error status is an answer.
    pub async fn send(&self, call: Call) -> Result<UpstreamResponse, Fault> {
        match &self.0.backend {
            Backend::Http(http) => self.send_http(http, call).await,
            Backend::Echo => Ok(send_echo(call).await),
        }
    }

    /// The fault in an answer of this provider with an error status, as [`fault_of`], with the key
    /// hidden should the provider repeat it.
    #[must_use]
    pub fn fault(
        &self,
        credential: &Credential,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Fault {
        let mut fault = fault_of(self.0.dialect, status, headers, body);
        if let Some(secret) = self.secret(credential) {
            let hide = |text: &mut String| *text = text.replace(secret, "[key]");
            hide(&mut fault.message);
            fault.code.iter_mut().chain(&mut fault.param).for_each(hide);
        }
        fault
    }

    /// Whether a body of this provider repeats the key that it was called with.
    #[must_use]
    pub fn repeats_key(&self, credential: &Credential, body: &[u8]) -> bool {
        self.secret(credential)
            .is_some_and(|secret| body.windows(secret.len()).any(|part| part == secret.as_bytes()))
    }

    fn secret<'a>(&'a self, credential: &'a Credential) -> Option<&'a str> {
        let secret = match (credential, &self.0.backend) {
            (Credential::Byok(key), _) => Some(key.expose()),
            (Credential::Own(at), Backend::Http(http)) => http.secrets.get(*at).map(Secret::expose),
            (Credential::Own(_), Backend::Echo) => None,
        };
        secret.map(String::as_str).filter(|secret| !secret.is_empty())
    }

    async fn send_http(&self, http: &Http, call: Call) -> Result<UpstreamResponse, Fault> {
        let uri = self.uri(http, &call)?;
        let headers = http.headers.write(&call.path, call.stream, &call.forward, &call.credential)?;
        let method = match &call.path {
            CallPath::Answers | CallPath::Responses | CallPath::CountTokens => Method::POST,
            CallPath::Raw { method, .. } => method.clone(),
        };
        let mut request = Request::new(Chunks::from(call.body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let other = call.connect.and_then(|time| http.others.iter().find(|(known, _)| *known == time));
        let client = other.map_or(&http.client, |(_, client)| client);
        let response = client.send(request).await.map_err(|error| of_send(&self.0.name, &error))?;
        let (head, body) = response.into_parts();
        if let Some(encoding) = foreign_encoding(&head.headers) {
            // It was asked for `identity`. The engine reads bytes as they pass, so this is no answer.
            let fault = self.fault(&call.credential, head.status, &head.headers, b"");
            let message = format!("`{}` compressed its answer with `{encoding}`, unasked", self.0.name);
            return Err(if head.status.is_success() {
                Fault {
                    status: Some(head.status.as_u16()),
                    ..Fault::new(FaultKind::MalformedAnswer, message)
                }
            } else {
                Fault { message, ..fault }
            });
        }
        let body = UpstreamBody::network(body, self.0.name.clone());
        Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
    }

    fn uri(&self, http: &Http, call: &Call) -> Result<Uri, Fault> {
        let unsupported = |what| Fault::new(FaultKind::UnsupportedFeature, what);
        let version = if http.base_url.ends_in_v1() { "" } else { "/v1" };
        let query = call.query.as_deref();
        let (path, query) = match (self.0.dialect, &call.path) {
            // A client's query is not part of OpenAI's dialects, so it is not ours to pass on.
            (Dialect::OpenaiChat, CallPath::Answers) => ("/chat/completions".to_owned(), None),
            (Dialect::OpenaiResponses, CallPath::Answers)
            | (Dialect::OpenaiChat | Dialect::OpenaiResponses, CallPath::Responses) => {
                ("/responses".to_owned(), None)
            }
            (Dialect::AnthropicMessages, CallPath::Responses) => {
                return Err(unsupported("this provider does not speak Responses"));
            }
            (Dialect::OpenaiChat | Dialect::OpenaiResponses, CallPath::CountTokens) => {
                return Err(unsupported("this provider has no endpoint that counts tokens"));
            }
            (Dialect::OpenaiChat | Dialect::OpenaiResponses, CallPath::Raw { path, .. }) => {
                (path.as_str().to_owned(), query)
            }
            (Dialect::AnthropicMessages, CallPath::Answers) => (format!("{version}/messages"), query),
            (Dialect::AnthropicMessages, CallPath::CountTokens) => {
                (format!("{version}/messages/count_tokens"), query)
            }
            (Dialect::AnthropicMessages, CallPath::Raw { path, .. }) => {
                (format!("{version}{}", path.as_str()), query)
            }
        };
        http.base_url
            .join(&path, query)
            .map_err(|error| Fault::new(FaultKind::InvalidRequest, error.to_string()))
    }
}

async fn send_echo(call: Call) -> UpstreamResponse {
    let response = match &call.path {
        CallPath::Answers => echo::send(joined(call.body)).await,
        CallPath::Raw { method, path, .. } => match (method.as_str(), path.as_str()) {
            ("GET", "/models") => echo::models(),
            ("POST", "/chat/completions") => echo::send(joined(call.body)).await,
            _ => echo::no_such_path(),
        },
        CallPath::Responses | CallPath::CountTokens => echo::no_such_path(),
    };
    let (head, body) = response.into_parts();
    UpstreamResponse { status: head.status, headers: head.headers, body: UpstreamBody::echo(body) }
}

fn joined(slices: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(slices) {
        Ok([only]) => only,
        Err(slices) => slices.concat().into(),
    }
}

/// The encoding of a body that is not sent as it is.
fn foreign_encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_ENCODING)?;
    let text: String = String::from_utf8_lossy(value.as_bytes()).trim().chars().take(40).collect();
    (!text.is_empty() && !text.eq_ignore_ascii_case("identity")).then_some(text)
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.0.name)
            .field("dialect", &self.0.dialect)
            .field("models", &self.0.models)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
