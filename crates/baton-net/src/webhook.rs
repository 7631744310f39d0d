//! Sends signed messages to a URL of the operator's.
//!
//! The signature is that of Standard Webhooks (<https://www.standardwebhooks.com>), so a receiver
//! checks it with any library for it. The kind stands in the body and not in a header: what is not
//! signed proves nothing.
//!
//! - Start with [`Webhook::new`], then [`Webhook::send`].
//! - **Invariant:** the same message has the same id however often it is sent, so a receiver can
//!   tell a repeat from news.
//! - **Never here:** retries, queues, and what a message says.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use hyper::body::Incoming;

use crate::body::{Chunks, ReadError, read_to_end};
use crate::client::HttpClient;
use crate::egress::SendError;

/// The longest time for one message, from the look-up of the name to the end of the answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// No more is read of an answer. What it says does not matter, but an unread one costs its connection.
const ANSWER_LIMIT: usize = 16 * 1024;

/// No more is read of an answer that was asked for.
const ASKED_LIMIT: usize = 256 * 1024;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";

/// The lengths of a secret in bytes that Standard Webhooks allows.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The bytes of an id, before they are written as text.
const ID_BYTES: usize = 16;

/// Where messages go, and what they are signed with. Clones share the connections.
#[derive(Clone)]
pub struct Webhook(Arc<Parts>);

struct Parts {
    url: Uri,
    key: hmac::Key,
    client: HttpClient,
    time_limit: Duration,
}

/// Why a webhook cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookSetupError {
    /// The URL is no `http` or `https` URL with a host.
    #[error("a webhook's URL must be an `http` or `https` URL with a host")]
    Url,
    /// The secret is not in the form of Standard Webhooks.
    #[error(
        "a webhook's secret must read `{SECRET_PREFIX}` and then {} to {} bytes in base64: `echo {SECRET_PREFIX}$(openssl rand -base64 32)` makes one",
        SECRET_BYTES.start(),
        SECRET_BYTES.end()
    )]
    Secret,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// A kind is lowercase letters, digits, dots, hyphens and underscores.
    #[error("`{0}` is no kind of message")]
    Kind(String),
    /// No answer came.
    #[error("the message could not be sent")]
    Send(#[source] SendError),
    /// No answer came in time.
    #[error("the receiver did not answer in {} s", .0.as_secs_f32())]
    Late(Duration),
    /// The answer could not be read.
    #[error("the receiver's answer could not be read")]
    Answer(#[source] ReadError),
    /// The receiver did not take it. A redirect is not followed.
    #[error("the receiver answered with status {0}")]
    Refused(StatusCode),
}

impl WebhookError {
    /// Whether sending it again later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Kind(_) => false,
            Self::Send(_) | Self::Late(_) | Self::Answer(_) => true,
            Self::Refused(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
        }
    }
}

impl Webhook {
    /// A webhook to this URL. The client says which addresses may be reached: for a URL from the
    /// file it has the operator's trust.
    ///
    /// # Errors
    /// See [`WebhookSetupError`]; the error does not hold the secret.
    pub fn new(url: &str, secret: &str, client: HttpClient) -> Result<Self, WebhookSetupError> {
        let url: Uri = url.parse().map_err(|_no_url| WebhookSetupError::Url)?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return Err(WebhookSetupError::Url);
        }
        let secret = secret.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let secret = secret.filter(|secret| SECRET_BYTES.contains(&secret.len()));
        let key = hmac::Key::new(HMAC_SHA256, &secret.ok_or(WebhookSetupError::Secret)?);
        Ok(Self(Arc::new(Parts { url, key, client, time_limit: TIME_LIMIT })))
    }

    /// Sends `{"type":kind,"data":data}`, where `data` is JSON, and waits until the receiver has
    /// taken it.
    ///
    /// # Errors
    /// See [`WebhookError`]. The caller decides whether and when to try again.
    pub async fn send(&self, kind: &str, data: &[u8]) -> Result<(), WebhookError> {
        let exchange = async {
            let body = self.exchange(kind, data).await?;
            // It was taken: an answer that breaks off or never ends changes nothing.
            drop(read_to_end(body, ANSWER_LIMIT).await);
            Ok(())
        };
        tokio::time::timeout(self.0.time_limit, exchange)
            .await
            .map_err(|_elapsed| WebhookError::Late(self.0.time_limit))?
    }

    /// Sends the same, and gives what the receiver answers, within this time.
    ///
    /// # Errors
    /// See [`WebhookError`]: an answer that breaks off, never ends or is too long is none.
    pub async fn ask(&self, kind: &str, data: &[u8], time_limit: Duration) -> Result<Bytes, WebhookError> {
        let exchange = async {
            let body = self.exchange(kind, data).await?;
            read_to_end(body, ASKED_LIMIT).await.map_err(WebhookError::Answer)
        };
        tokio::time::timeout(time_limit, exchange).await.map_err(|_elapsed| WebhookError::Late(time_limit))?
    }

    async fn exchange(&self, kind: &str, data: &[u8]) -> Result<Incoming, WebhookError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = self.request(kind, data, now.as_secs())?;
        let answer = self.0.client.send(request).await.map_err(WebhookError::Send)?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() { Ok(body) } else { Err(WebhookError::Refused(head.status)) }
    }

    fn request(&self, kind: &str, data: &[u8], at_secs: u64) -> Result<Request<Chunks>, WebhookError> {
        if kind.is_empty() || !kind.bytes().all(is_of_kind) {
            return Err(WebhookError::Kind(kind.to_owned()));
        }
        let parts = [br#"{"type":""#, kind.as_bytes(), br#"","data":"#, data, b"}"];
        let body = parts.concat();
        let id = self.id(&body);
        let signature = self.sign(&id, at_secs, &body);
        let mut request = Request::new(Chunks::from(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.0.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("baton"));
        headers.insert("webhook-timestamp", HeaderValue::from(at_secs));
        for (name, value) in [("webhook-id", id), ("webhook-signature", signature)] {
            // Both are base64 and hexadecimal digits, which every header takes.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        Ok(request)
    }

    /// The id of a message: a function of what it says, under the key so that it tells nothing.
    fn id(&self, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0.key);
        context.update(b"webhook-id\0");
        context.update(body);
        let tag = context.sign();
        let digits = tag.as_ref().iter().take(ID_BYTES).map(|byte| format!("{byte:02x}"));
        std::iter::once("msg_".to_owned()).chain(digits).collect()
    }

    fn sign(&self, id: &str, at_secs: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0.key);
        context.update(format!("{id}.{at_secs}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl fmt::Debug for Webhook {
    /// Without the path and query of the URL: some services put their secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.0.url.host().unwrap_or_default())
    }
}

const fn is_of_kind(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests;
