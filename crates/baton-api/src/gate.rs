//! Lets a request in: who calls, how many of theirs are open, how much may be sent.
//!
//! - Start with [`Gate::admit`].
//! - **Invariant:** access is decided from headers and configuration alone, never from the path.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use baton_access::{AuthError, HostPolicy, KeyRing, Permit, Principal, PrincipalId, Role};
use baton_audit::IdSource;
use baton_net::BoxError;
use baton_net::body::{DecompressError, Encoding, ProgressTimeout, ReadError, decompress, read_to_end};
use baton_telemetry::RequestShed;
use bytes::Bytes;

use crate::error::ApiError;

/// How long a request's body may stand still.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// What the configuration says about access; replaced as a whole on a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether a key is demanded.
    pub required: bool,
    /// Which hosts and origins a keyless caller may use; `None` when the bind is not loopback.
    pub host_policy: Option<HostPolicy>,
    /// The largest request body, after decompression.
    pub max_body_bytes: usize,
    /// The origins whose pages may call.
    pub cors_origins: Vec<String>,
}

/// Lets callers in.
#[derive(Debug)]
pub struct Gate {
    keys: Arc<KeyRing>,
    ids: IdSource,
    access: ArcSwap<Access>,
}

/// A caller who was let in, with a place among the open requests.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) principal: Principal,
    pub(crate) permit: Permit,
}

impl Gate {
    /// A gate over these keys.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>, ids: IdSource, access: Access) -> Self {
        Self { keys, ids, access: ArcSwap::from_pointee(access) }
    }

    /// Puts other rules in force.
    pub fn apply(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// Whether pages of other origins may call at all.
    pub(crate) fn has_origins(&self) -> bool {
        !self.access.load().cors_origins.is_empty()
    }

    pub(crate) fn allows_origin(&self, origin: &str) -> bool {
        self.access.load().cors_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// Who calls.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, ApiError> {
        let access = self.access.load();
        let presented = presented(headers)?;
        let now = self.ids.now_ms();
        let principal = if access.required {
            self.keys.authenticate(presented, now)
        } else {
            self.keys.identify(presented, now)
        }
        .map_err(|error| {
            RequestShed { reason: "unauthorized" }.emit();
            ApiError::unauthenticated(error)
        })?;
        if principal.id() == PrincipalId::Anonymous
            && let Some(policy) = &access.host_policy
        {
            policy.check(by_name(headers, &HOST), by_name(headers, &ORIGIN)).map_err(|error| {
                RequestShed { reason: "foreign_host" }.emit();
                ApiError::forbidden(error.to_string())
            })?;
        }
        Ok(principal)
    }

    /// Whether work of this caller may go on that it does not wait for: its key may have been revoked, or have
    /// expired, since it asked. What cannot be known at the moment was true when it asked.
    pub(crate) fn recall(&self, principal: &str) -> Result<(), AuthError> {
        let recalled = match principal.parse() {
            Ok(PrincipalId::Key(id)) => self.keys.recall(id, self.ids.now_ms()).map(drop),
            Ok(PrincipalId::Anonymous) if self.access.load().required => Err(AuthError::Missing),
            Ok(PrincipalId::Anonymous) => Ok(()),
            Err(_no_id) => Err(AuthError::Unknown),
        };
        match recalled {
            Err(AuthError::Unavailable) => Ok(()),
            known => known,
        }
    }

    /// Who calls, with a place among their open requests.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Admitted, ApiError> {
        let principal = self.authenticate(headers)?;
        if principal.role() == Role::Viewer {
            return Err(ApiError::forbidden("this key may look, not ask: its role is `viewer`"));
        }
        let permit = principal.admit().map_err(|busy| {
            RequestShed { reason: "key_busy" }.emit();
            ApiError::busy(busy.to_string())
        })?;
        Ok(Admitted { principal, permit })
    }

    /// Reads a body up to the limit, decompressed.
    pub(crate) async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, ApiError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let limit = self.access.load().max_body_bytes;
        let encoding = match by_name(headers, &CONTENT_ENCODING) {
            None => Encoding::Identity,
            Some(value) => Encoding::parse(value).map_err(|error| body_error(&error, limit))?,
        };
        let body =
            read_to_end(ProgressTimeout::new(body, BODY_PATIENCE), limit).await.map_err(
                |error| match error {
                    ReadError::TooLarge { .. } => too_large(limit),
                    ReadError::Stalled(_) => ApiError::stalled(),
                    _ => ApiError::invalid("the request body could not be read to its end", None),
                },
            )?;
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        decompress(encoding, body, limit).map_err(|error| body_error(&error, limit))
    }
}

fn body_error(error: &DecompressError, limit: usize) -> ApiError {
    match error {
        DecompressError::Unsupported { .. } => ApiError::unsupported_encoding(error.to_string()),
        DecompressError::TooLarge { .. } => too_large(limit),
        other => ApiError::invalid(format!("the request body cannot be decompressed: {other}"), None),
    }
}

fn too_large(limit: usize) -> ApiError {
    RequestShed { reason: "too_large" }.emit();
    ApiError::too_large(limit)
}

/// The key as it was sent: `Authorization: Bearer` before `x-api-key`.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    if headers.get_all(AUTHORIZATION).iter().count() > 1 {
        return Err(ApiError::invalid("`authorization` stands twice in the request", Some("authorization")));
    }
    let bearer = by_name(headers, &AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    Ok(bearer.filter(|key| !key.is_empty()).or_else(|| text(headers, "x-api-key").map(str::trim)))
}

fn by_name<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
