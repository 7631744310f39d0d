//! Sends a command's requests: to the server of the data directory, to one elsewhere, or to the routes in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::Router;
use axum::http::{Method, Request, StatusCode};
use baton_config::Config;
use baton_engine::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::remote::Remote;
use super::{Control, SOCKET, router};
use crate::core::Core;
use crate::plans::switches;
use crate::settings::settings;

/// The most that an answer may hold.
pub(super) const ANSWER_LIMIT: usize = 16 << 20;

/// Where a command's requests go.
pub(crate) enum Client {
    /// To the running server.
    Server(PathBuf),
    /// To the same routes in this process, which has the data directory.
    Own(Router, Box<Core>),
    /// To a gateway elsewhere, which gives administrators a part of them.
    Remote(Box<Remote>),
}

impl Client {
    /// The running server of a data directory, else the directory itself.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(client) = Self::running(config).await {
            return Ok(client);
        }
        let core = Core::open(config).await?;
        let settings = Arc::new(settings(config)?);
        let engine = Engine::new(
            settings,
            Arc::clone(&core.journal),
            core.sealer.clone(),
            core.tools.clone(),
            core.ids.clone(),
            CancellationToken::new(),
        );
        engine.health().restore(switches(&config.data_dir)?);
        core.versions.apply(&engine).await?;
        Ok(Self::Own(router(Control::new(&core, Arc::new(engine), &config.data_dir)), Box::new(core)))
    }

    /// The running server of a data directory, if there is one.
    pub(crate) async fn running(config: &Config) -> Option<Self> {
        let socket = config.data_dir.join(SOCKET);
        connect(&socket).await.is_ok().then_some(Self::Server(socket))
    }

    /// Asks a route by its path on the control socket. A body of `null` is none.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(serde_json::to_vec(body)?) };
        let (status, answer) = match self {
            Self::Remote(remote) => return remote.call(method, &format!("/admin/v1{path}"), bytes).await,
            Self::Own(router, _) => {
                let request = request(method, path, bytes)?.map(axum::body::Body::new);
                let response = router.clone().oneshot(request).await?;
                let status = response.status();
                (status, axum::body::to_bytes(response.into_body(), ANSWER_LIMIT).await?)
            }
            Self::Server(socket) => exchange(socket, request(method, path, bytes)?).await?,
        };
        if !status.is_success() {
            let said = String::from_utf8_lossy(&answer);
            bail!("{}", if said.is_empty() { "the server refused" } else { said.trim_end() });
        }
        serde_json::from_slice(&answer).context("the server's answer is not JSON")
    }

    /// Hands over what was written.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Server(_) | Self::Remote(_) => Ok(()),
            Self::Own(_, core) => core.close(Duration::from_secs(10)).await,
        }
    }
}

fn request(method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("host", "localhost").header("content-type", "application/json");
    Ok(request.body(Full::new(body))?)
}

async fn exchange(socket: &Path, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = connect(socket).await.context("the server went away")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let tasks = baton_net::tasks::Tasks::new();
    drop(tasks.spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok((status, body.map_err(|error| anyhow!(error))?.to_bytes()))
}

async fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(socket).await
}
