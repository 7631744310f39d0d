//! What a provider is, checked: where it is, how it takes its keys, which models it has.

use std::fmt;

use baton_model::{Dialect, ModelName, NameError, ProviderName, Secret};
use http::{HeaderMap, HeaderName};

use crate::{BaseUrl, BaseUrlError, Preset, Quirks};

/// One upstream account. Proxy, extra certificates and the connect deadline belong to the client
/// that the provider is given.
#[derive(Clone)]
pub struct ProviderConfig {
    /// What it is called here.
    pub name: ProviderName,
    /// What it speaks.
    pub dialect: Dialect,
    /// Whether one of chat completions answers `/responses` too, below the same address.
    pub responses: bool,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Its keys, in order of preference. None for a provider that wants none.
    pub credentials: Vec<Secret<String>>,
    /// Headers of every request, beside those that Baton sets.
    pub headers: HeaderMap,
    /// How a key is sent.
    pub auth: AuthScheme,
    /// Which models it has.
    pub models: ModelNames,
    /// What it does not take.
    pub quirks: Quirks,
}

/// How a key is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `authorization: Bearer <key>`.
    Bearer,
    /// `x-api-key: <key>`.
    XApiKey,
    /// The bare key in a header of this name.
    Header(HeaderName),
}

/// Which models a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelNames {
    /// Whatever it is asked for.
    Any,
    /// These and no others.
    Listed(Vec<ModelName>),
}

/// Why a provider cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name.
    #[error("the provider's name is not valid")]
    Name(#[source] NameError),
    /// The address.
    #[error("the base URL of provider `{provider}` is not valid")]
    BaseUrl {
        /// Which provider.
        provider: ProviderName,
        /// What is wrong.
        #[source]
        source: BaseUrlError,
    },
    /// A key with characters that no header can carry.
    #[error("key {number} of provider `{provider}` has characters that a header cannot carry")]
    Credential {
        /// Which provider.
        provider: ProviderName,
        /// Which key, counted from 1.
        number: usize,
    },
    /// A header that Baton sets itself.
    #[error("provider `{provider}` must not set the header `{header}`")]
    Header {
        /// Which provider.
        provider: ProviderName,
        /// Which header.
        header: HeaderName,
    },
}

impl ProviderConfig {
    /// A preset's provider with these keys, everything else as the preset says.
    ///
    /// # Errors
    /// [`ConfigError`] never for the presets of this crate.
    pub fn from_preset(preset: &Preset, credentials: Vec<Secret<String>>) -> Result<Self, ConfigError> {
        let name: ProviderName = preset.name.parse().map_err(ConfigError::Name)?;
        let base_url = preset
            .base_url
            .parse()
            .map_err(|source| ConfigError::BaseUrl { provider: name.clone(), source })?;
        Ok(Self {
            credentials,
            auth: preset.auth(),
            quirks: preset.quirks,
            responses: preset.responses,
            ..Self::new(name, preset.dialect, base_url)
        })
    }

    /// A provider without keys, with the dialect's usual ways.
    #[must_use]
    pub fn new(name: ProviderName, dialect: Dialect, base_url: BaseUrl) -> Self {
        Self {
            name,
            dialect,
            responses: false,
            base_url,
            credentials: Vec::new(),
            headers: HeaderMap::new(),
            auth: AuthScheme::usual(dialect),
            models: ModelNames::Any,
            quirks: Quirks::NONE,
        }
    }
}

impl AuthScheme {
    /// How providers of a dialect usually want their keys.
    #[must_use]
    pub const fn usual(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Self::Bearer,
            Dialect::AnthropicMessages => Self::XApiKey,
        }
    }
}

impl ModelNames {
    /// Whether a model is among them.
    #[must_use]
    pub fn contains(&self, model: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(names) => names.iter().any(|name| name.as_str() == model),
        }
    }
}

impl fmt::Debug for ProviderConfig {
    /// Headers by name only: their values may be secrets too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("responses", &self.responses)
            .field("base_url", &self.base_url)
            .field("credentials", &self.credentials)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("auth", &self.auth)
            .field("models", &self.models)
            .field("quirks", &self.quirks)
            .finish()
    }
}
