//! Sends calls to providers and hands back what they answer, one [`Upstream`] for each account.
//!
//! A provider that speaks a known dialect is a row of data: where it is, how it wants its key, and
//! what it does not take. The provider `echo` answers in process and looks like any other from
//! above, so the first answer of a new installation needs no key.
//!
//! - Start with [`Upstream::send`]; [`PRESETS`] are the rows.
//! - **Invariant:** nothing of a client's own headers reaches a provider but the few on the list, and
//!   no key is ever printed, in errors neither.
//! - **Never here:** retries, fallbacks, health, deadlines of answers: those are the engine's.

mod base_url;
mod body;
mod call;
mod catalog;
mod config;
mod echo;
mod fault;
mod headers;
mod limits;
mod preset;
mod quirks;
mod upstream;

pub use base_url::{BaseUrl, BaseUrlError};
pub use body::UpstreamBody;
pub use call::{Call, CallPath, Credential, RawPath, RawPathError, UpstreamResponse};
pub use catalog::{Catalog, CatalogError, Known, PriceSource, Source, catalog};
pub use config::{AuthScheme, ConfigError, ModelNames, ProviderConfig};
pub use fault::{fault_of, request_id, retry_after};
pub use limits::{Limits, limits};
pub use preset::{PRESETS, Preset, infer_provider, preset};
pub use quirks::Quirks;
pub use upstream::Upstream;
