//! Writes the headers of a call: the provider's own, the few of a client's that may pass, the key.
//!
//! It is a list of what may pass, not of what may not, so that a header nobody thought of stays
//! at home: a client's key, its cookies, its address.

use baton_model::{Dialect, Fault, FaultKind};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};

use crate::{AuthScheme, CallPath, Credential};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The API version that is asked for when the client names none.
const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Client headers that change what is asked, and so must pass.
static FORWARDED_ANTHROPIC: [HeaderName; 2] = [ANTHROPIC_VERSION, HeaderName::from_static("anthropic-beta")];
static FORWARDED_OPENAI: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];

/// Client headers that name the account to charge: they belong to a client's own key only.
static ACCOUNT: [HeaderName; 2] =
    [HeaderName::from_static("openai-organization"), HeaderName::from_static("openai-project")];

/// Headers that a provider's configuration must not set: they are ours, or the connection's.
static OURS: [HeaderName; 14] = [
    ACCEPT,
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    HOST,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What every call to one provider carries.
#[derive(Clone)]
pub(crate) struct HeaderPlan {
    dialect: Dialect,
    auth: AuthScheme,
    /// In the form in which they are sent, marked as sensitive.
    credentials: Vec<HeaderValue>,
    fixed: HeaderMap,
}

/// A configured header that is ours to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// This header.
    Header(HeaderName),
    /// The key at this place.
    Credential(usize),
}

impl HeaderPlan {
    pub(crate) fn new(config: &crate::ProviderConfig) -> Result<Self, PlanError> {
        let auth_name = config.auth.header();
        if let Some(name) = config.headers.keys().find(|name| OURS.contains(name) || **name == auth_name) {
            return Err(PlanError::Header(name.clone()));
        }
        let mut fixed = config.headers.clone();
        fixed.values_mut().for_each(|value| value.set_sensitive(true));
        fixed
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("baton/", env!("CARGO_PKG_VERSION"))));
        fixed.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let credentials = config
            .credentials
            .iter()
            .enumerate()
            .map(|(at, key)| config.auth.value(key.expose()).ok_or(PlanError::Credential(at)))
            .collect::<Result<_, _>>()?;
        Ok(Self { dialect: config.dialect, auth: config.auth.clone(), credentials, fixed })
    }

    pub(crate) fn credential_count(&self) -> usize {
        self.credentials.len()
    }

    /// The headers of one call.
    pub(crate) fn write(
        &self,
        path: &CallPath,
        stream: bool,
        forward: &HeaderMap,
        credential: &Credential,
    ) -> Result<HeaderMap, Fault> {
        let mut headers = self.fixed.clone();
        for name in self.forwarded(credential) {
            for value in forward.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if self.dialect == Dialect::AnthropicMessages {
            headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_ANTHROPIC_VERSION);
        }
        let json = || HeaderValue::from_static("application/json");
        let content_type = match path {
            CallPath::Answers | CallPath::Responses | CallPath::CountTokens => Some(json()),
            CallPath::Raw { content_type, .. } => content_type.clone(),
        };
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let accept = match path {
            CallPath::Answers | CallPath::Responses if stream => {
                HeaderValue::from_static("text/event-stream")
            }
            CallPath::Answers | CallPath::Responses | CallPath::CountTokens => json(),
            CallPath::Raw { .. } => HeaderValue::from_static("*/*"),
        };
        headers.insert(ACCEPT, accept);
        if let Some(key) = self.key(credential)? {
            headers.insert(self.auth.header(), key);
        }
        Ok(headers)
    }

    /// The names that may pass from a client.
    fn forwarded(&self, credential: &Credential) -> impl Iterator<Item = &'static HeaderName> {
        let (asked, account): (&'static [HeaderName], &'static [HeaderName]) = match self.dialect {
            Dialect::AnthropicMessages => (&FORWARDED_ANTHROPIC, &[]),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => (&FORWARDED_OPENAI, &ACCOUNT),
        };
        let account = if matches!(credential, Credential::Byok(_)) { account } else { &[] };
        asked.iter().chain(account)
    }

    fn key(&self, credential: &Credential) -> Result<Option<HeaderValue>, Fault> {
        match credential {
            Credential::Own(_) if self.credentials.is_empty() => Ok(None),
            Credential::Own(at) => match self.credentials.get(*at) {
                Some(key) => Ok(Some(key.clone())),
                None => Err(Fault::new(FaultKind::Internal, format!("the provider has no credential {at}"))),
            },
            Credential::Byok(key) => match self.auth.value(key.expose()) {
                Some(key) => Ok(Some(key)),
                None => Err(Fault::new(
                    FaultKind::InvalidRequest,
                    "the provider key of this request has characters that a header cannot carry",
                )),
            },
        }
    }
}

impl AuthScheme {
    /// The header that carries the key.
    fn header(&self) -> HeaderName {
        match self {
            Self::Bearer => AUTHORIZATION,
            Self::XApiKey => X_API_KEY,
            Self::Header(name) => name.clone(),
        }
    }

    /// The key as it is sent; `None` when it is empty or cannot stand in a header.
    fn value(&self, key: &str) -> Option<HeaderValue> {
        let text = match self {
            _ if key.is_empty() => return None,
            Self::Bearer => format!("Bearer {key}"),
            Self::XApiKey | Self::Header(_) => key.to_owned(),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
