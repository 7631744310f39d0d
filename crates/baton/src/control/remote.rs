//! Asks a gateway elsewhere, over HTTP and with an administrator's key.
//!
//! - Start with [`Remote::new`]; the key comes from the environment.
//! - **Invariant:** the key goes to the gateway that was named and nowhere else: no redirect is followed.
//! - **Invariant:** whatever goes wrong is one sentence that names the gateway and not the key.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use baton_net::body::{Chunks, read_to_end};
use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::{SendError, SendErrorKind, Trust};
use bytes::Bytes;
use hyper::body::Incoming;
use serde_json::Value;

use super::client::ANSWER_LIMIT;
use crate::output::note;

/// The variable with the key.
const KEY: &str = "BATON_ADMIN_KEY";
/// How long the gateway may take until its answer begins.
const PATIENCE: Duration = Duration::from_secs(60);
/// No error body of ours is longer.
const ERROR_LIMIT: usize = 64 << 10;

/// The URL of a gateway, without a path of its API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gateway(String);

impl FromStr for Gateway {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; write it as `https://gateway`"))?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let (Some(authority), Some("http" | "https")) = (authority, uri.scheme_str()) else {
            return Err("it has to begin with `https://` or `http://` and name a host".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err(format!("it holds a user: the key comes from `{KEY}`"));
        }
        if uri.query().is_some() {
            return Err("it has a query, which no gateway's URL has".to_owned());
        }
        let root = text.trim_end_matches('/');
        Ok(Self(root.strip_suffix("/v1").unwrap_or(root).trim_end_matches('/').to_owned()))
    }
}

impl Gateway {
    /// The URL, without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is sent there can be read on the way.
    fn is_open_to_the_way(&self) -> bool {
        let Ok(uri) = self.0.parse::<Uri>() else { return true };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_near = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        uri.scheme_str() == Some("http") && !is_near
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gateway with the key to ask it.
pub(crate) struct Remote {
    gateway: Gateway,
    /// Marked as sensitive, so that `Debug` of a request does not show it.
    authorization: HeaderValue,
    http: HttpClient,
}

impl Remote {
    /// A gateway, asked with the key of the environment.
    pub(crate) fn new(gateway: &Gateway) -> anyhow::Result<Self> {
        let key = std::env::var(KEY).ok().filter(|key| !key.trim().is_empty()).with_context(|| {
            format!(
                "`--url` needs an administrator's key in `{KEY}`; `baton keys create NAME --role admin` makes one where the gateway runs"
            )
        })?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.trim()))
            .map_err(|_secret| anyhow::anyhow!("`{KEY}` holds a character that is in no key"))?;
        authorization.set_sensitive(true);
        if gateway.is_open_to_the_way() {
            note(&format!("`{gateway}` is not `https`: the key can be read on the way"));
        }
        let http = HttpClient::new(ClientOptions::new(Trust::Operator))?;
        Ok(Self { gateway: gateway.clone(), authorization, http })
    }

    /// Asks for JSON.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, "application/json", body).await?;
        serde_json::from_slice(&self.whole(answer).await?)
            .with_context(|| format!("what `{}` answers is not JSON", self.gateway))
    }

    /// Asks for JSON, without a body.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Asks for text as a terminal shows it.
    pub(crate) async fn text(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<String> {
        let answer = self.ask(method, path, "text/plain", body).await?;
        let is_text =
            answer.headers().get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/"));
        if !is_text {
            bail!("`{}` has no text of this: its version is an older one; `--json` may work", self.gateway);
        }
        Ok(String::from_utf8_lossy(&self.whole(answer).await?).trim_end().to_owned())
    }

    /// An answer of a size that nobody knows, which is read as it comes.
    pub(crate) async fn file(&self, path: &str) -> anyhow::Result<Incoming> {
        Ok(self.ask(Method::GET, path, "*/*", Bytes::new()).await?.into_body())
    }

    async fn whole(&self, answer: Response<Incoming>) -> anyhow::Result<Bytes> {
        let body = tokio::time::timeout(PATIENCE, read_to_end(answer.into_body(), ANSWER_LIMIT)).await;
        body.with_context(|| self.late())?
            .with_context(|| format!("the answer of `{}` broke off", self.gateway))
    }

    /// Sends a request; gives out an answer only when Baton gave it and it is a good one.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.gateway))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, "application/json")
            .header("user-agent", concat!("baton/", env!("CARGO_PKG_VERSION")))
            .body(Chunks::from(body))?;
        let sent =
            tokio::time::timeout(PATIENCE, self.http.send(request)).await.with_context(|| self.late())?;
        let answer = sent.map_err(|error| self.unreached(&error))?;
        let status = answer.status();
        self.is_baton(status, answer.headers())?;
        if status.is_success() {
            return Ok(answer);
        }
        let said = read_to_end(answer.into_body(), ERROR_LIMIT).await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        let said = said.pointer("/error/message").and_then(Value::as_str).unwrap_or("it does not say why");
        match status {
            StatusCode::UNAUTHORIZED => bail!("`{}` does not take the key in `{KEY}`: {said}", self.gateway),
            StatusCode::FORBIDDEN => {
                bail!("the key in `{KEY}` may not do this on `{}`: {said}", self.gateway)
            }
            StatusCode::NOT_FOUND if said.starts_with("there is nothing at this path") => {
                bail!("`{}` has no `{path}`: is the URL right, and its Baton not an older one?", self.gateway)
            }
            _ => bail!("{said}"),
        }
    }

    /// Baton gives every answer an id. What has none came from something else, or from something in front.
    fn is_baton(&self, status: StatusCode, headers: &HeaderMap) -> anyhow::Result<()> {
        let gateway = &self.gateway;
        if headers.get("x-request-id").is_some_and(|id| id.as_bytes().starts_with(b"req_")) {
            return Ok(());
        }
        let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
        if let (true, Some(place)) = (status.is_redirection(), place) {
            bail!(
                "`{gateway}` sends elsewhere, to `{place}`: a key follows nobody, so name the right URL yourself"
            );
        }
        bail!(
            "what answers at `{gateway}` ({status}) is no Baton, or something in front of it answers instead"
        );
    }

    fn unreached(&self, error: &SendError) -> anyhow::Error {
        let gateway = &self.gateway;
        let deepest = std::iter::successors(error.source(), |error: &&dyn Error| (*error).source()).last();
        let detail = deepest.map(|error| format!(" ({error})")).unwrap_or_default();
        let hint = match error.kind() {
            SendErrorKind::Tls if detail.contains("InvalidContentType") => {
                "; it does not speak TLS: is it `http://`?"
            }
            SendErrorKind::Tls if detail.contains("UnknownIssuer") => {
                "; a file of CA certificates is named with `SSL_CERT_FILE`"
            }
            SendErrorKind::Protocol | SendErrorKind::Reset if gateway.as_str().starts_with("http://") => {
                "; does it speak TLS (`https://`)?"
            }
            SendErrorKind::Refused => "; does it run there?",
            _ => "",
        };
        anyhow::anyhow!("`{gateway}` cannot be asked: {error}{detail}{hint}")
    }

    fn late(&self) -> String {
        format!("`{}` does not answer within {} s", self.gateway, PATIENCE.as_secs())
    }
}

/// A text as a part of a path or of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
