//! The least that a proxy with a record of its own can do on this stack: the floor of the benchmark.
//!
//! It reads `model` and `stream`, puts the routed name in place of the asked one, forwards the
//! rest as it came, reads the usage out of the answer, and queues one line for a record file that
//! a thread writes in batches. No key, no journal, no sync, no metrics.

#![expect(clippy::print_stdout, reason = "the line with the address is the interface of this program")]

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A proxy for chat completions.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the upstream is.
    #[arg(long)]
    upstream: SocketAddr,
    /// The file for one line a request.
    #[arg(long)]
    record: PathBuf,
    /// Ask this model first, and read its answer: the two calls of a hand-off.
    #[arg(long)]
    first: Option<String>,
}

#[derive(Deserialize)]
struct Ask<'a> {
    model: &'a str,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

type Body = BoxBody<Bytes, hyper::Error>;

struct Proxy {
    client: Client<HttpConnector, Full<Bytes>>,
    target: String,
    first: Option<String>,
    record: mpsc::Sender<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let proxy = Arc::new(Proxy {
        client: Client::builder(TokioExecutor::new()).build(connector),
        target: format!("http://{}/v1/chat/completions", args.upstream),
        first: args.first,
        record: write_behind(File::create(&args.record).context("making the record file")?),
    });
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let proxy = Arc::clone(&proxy);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&proxy), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service);
                    // A driver that goes away is the end of a run, not an error.
                    drop(connection.await);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Writes what has queued up, then waits a little, so that lines go out in batches.
fn write_behind(mut file: File) -> mpsc::Sender<String> {
    let (sender, receiver) = mpsc::channel::<String>();
    thread::spawn(move || {
        while let Ok(mut batch) = receiver.recv() {
            thread::sleep(Duration::from_millis(20));
            receiver.try_iter().for_each(|line| batch.push_str(&line));
            if file.write_all(batch.as_bytes()).is_err() {
                return;
            }
        }
    });
    sender
}

async fn answer(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(forward(&proxy, request).await.unwrap_or_else(|error| {
        let body = Full::from(format!("{error:#}")).map_err(|never| match never {}).boxed();
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn forward(proxy: &Proxy, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let ask = serde_json::from_slice::<Ask<'_>>(&body)?;
    let (model, stream) = (ask.model.to_owned(), ask.stream);
    let key = parts.headers.get(AUTHORIZATION).cloned();
    let key = key.unwrap_or_else(|| HeaderValue::from_static("Bearer none"));
    let call = async |body: Bytes| -> anyhow::Result<Response<Incoming>> {
        let request = Request::post(&proxy.target).header(CONTENT_TYPE, "application/json");
        let request = request.header(AUTHORIZATION, key.clone()).body(Full::new(body))?;
        Ok(proxy.client.request(request).await?)
    };
    if let Some(first) = &proxy.first {
        let answer = call(put_model(&body, ask.model, first)?).await?;
        let answer = answer.into_body().collect().await?.to_bytes();
        let usage = if stream { last_usage(&answer) } else { usage(&answer) }.unwrap_or_default();
        let (read, wrote) = (usage.prompt_tokens, usage.completion_tokens);
        let line = format!("{{\"model\":\"{first}\",\"in\":{read},\"out\":{wrote}}}\n");
        proxy.record.send(line).context("the record file")?;
    }
    let answer = call(put_model(&body, ask.model, "fake")?).await?;
    let status = answer.status();
    let line = move |usage: Usage, bytes: usize| {
        format!(
            "{{\"model\":\"{model}\",\"status\":{},\"us\":{},\"bytes\":{bytes},\"in\":{},\"out\":{}}}\n",
            status.as_u16(),
            began.elapsed().as_micros(),
            usage.prompt_tokens,
            usage.completion_tokens
        )
    };
    let (head, body) = answer.into_parts();
    let mut response = Response::builder().status(status);
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = head.headers.get(&name) {
            response = response.header(name, value);
        }
    }
    if stream {
        return Ok(response.body(watch(body, proxy.record.clone(), line))?);
    }
    let body = body.collect().await?.to_bytes();
    proxy.record.send(line(usage(&body).unwrap_or_default(), body.len())).context("the record file")?;
    Ok(response.body(Full::new(body).map_err(|never| match never {}).boxed())?)
}

/// The body with another model in place of the one that `asked` borrows from it.
fn put_model(body: &Bytes, asked: &str, model: &str) -> anyhow::Result<Bytes> {
    let asked = body.slice_ref(asked.as_bytes());
    let at = asked.as_ptr().addr() - body.as_ptr().addr();
    let (before, rest) = body.split_at_checked(at).context("the place of the model")?;
    let after = rest.get(asked.len()..).context("the end of the model")?;
    Ok([before, model.as_bytes(), after].concat().into())
}

fn usage(json: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Told>(json).ok()?.usage
}

/// The data of each event.
fn events(frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    frames.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "))
}

fn last_usage(frames: &[u8]) -> Option<Usage> {
    events(frames).filter(|event| *event != b"[DONE]").filter_map(usage).last()
}

/// Passes frames on and reads the usage out of each, as a gateway that counts has to.
fn watch(
    body: Incoming,
    record: mpsc::Sender<String>,
    line: impl FnOnce(Usage, usize) -> String + Send + Sync + 'static,
) -> Body {
    let (mut line, mut bytes, mut sum) = (Some(line), 0, Usage::default());
    let body = body.map_frame(move |frame| {
        let Some(data) = frame.data_ref() else { return frame };
        bytes += data.len();
        for event in events(data) {
            if event != b"[DONE]" {
                sum = usage(event).unwrap_or(sum);
            } else if let Some(line) = line.take() {
                // The file's thread has ended: the run is over.
                drop(record.send(line(sum, bytes)));
            }
        }
        frame
    });
    body.boxed()
}
