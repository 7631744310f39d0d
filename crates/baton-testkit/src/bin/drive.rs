//! Drives load at a server and accounts for the CPU time and the memory of the process under test.
//!
//! In a closed loop each connection sends its next request when the last is answered: saturation.
//! With `--rate` requests are due at fixed times, and latency counts from the due time, so that a
//! stalled server cannot hide behind a driver that waits for it. It prints one line of JSON.

#![expect(clippy::print_stdout, reason = "the line of JSON is the interface of this program")]

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A load driver.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// The path to post to.
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// The model to ask; several are sent as a list.
    #[arg(long, default_value = "fake")]
    model: Vec<String>,
    /// Ask for streams.
    #[arg(long)]
    stream: bool,
    /// Bytes of prompt.
    #[arg(long, default_value_t = 900)]
    pad: usize,
    /// A header, as `name: value`.
    #[arg(short = 'H', long = "header")]
    headers: Vec<String>,
    /// Connections.
    #[arg(short, long, default_value_t = 64)]
    connections: u32,
    /// Seconds to measure.
    #[arg(long, default_value_t = 5.0)]
    secs: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 2.0)]
    warm: f64,
    /// Requests a second; without it, as many as are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Send so many requests and stop: for instruction counts under a simulator.
    #[arg(long)]
    count: Option<u64>,
    /// The process whose tree is accounted for.
    #[arg(long)]
    pid: Option<u32>,
}

/// What was counted between the warm-up and the end.
#[derive(Default)]
struct Tally {
    latencies_us: Vec<u64>,
    first_bytes_us: Vec<u64>,
    ok: u64,
    refused: u64,
    errors: u64,
    bytes: u64,
    first_error: Option<String>,
}

struct Run {
    args: Args,
    body: Bytes,
    began: Instant,
    from: Instant,
    to: Instant,
    tally: Mutex<Tally>,
    sent: Mutex<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let began = Instant::now();
    let from = began + Duration::from_secs_f64(if args.count.is_some() { 0.0 } else { args.warm });
    let to = from + Duration::from_secs_f64(if args.count.is_some() { 3600.0 } else { args.secs });
    let body = prompt(&args).to_string().into();
    let run = Arc::new(Run { args, body, began, from, to, tally: Mutex::default(), sent: Mutex::default() });
    let mut workers = JoinSet::new();
    for worker in 0..run.args.connections {
        workers.spawn(work(Arc::clone(&run), worker));
    }
    if run.args.count.is_some() {
        workers.join_all().await;
        print(&run, &Process::default(), &Process::default(), run.began.elapsed());
        return Ok(());
    }
    tokio::time::sleep_until(from.into()).await;
    let pid = run.args.pid;
    if let Some(pid) = pid {
        // Starts the peak of the memory anew; where it may not, the peak includes the start-up.
        drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
    }
    let (before, started) = (pid.map(Process::tree).unwrap_or_default(), Instant::now());
    tokio::time::sleep_until(to.into()).await;
    let after = pid.map(Process::tree).unwrap_or_default();
    print(&run, &before, &after, started.elapsed());
    Ok(())
}

fn prompt(args: &Args) -> serde_json::Value {
    const SYSTEM: &str = "You are a helpful assistant.";
    const TEXT: &str = "Please summarise the following paragraph for a busy reader, keep the names and the numbers, and say \"unclear\" where it is.\n";
    let text = TEXT.repeat(args.pad.div_ceil(TEXT.len()));
    let model = match args.model.as_slice() {
        [only] => json!(only),
        models => json!(models),
    };
    let of_anthropic = args.path.ends_with("/messages");
    let mut body = if of_anthropic {
        json!({"model": model, "system": SYSTEM, "messages": [{"role": "user", "content": text}]})
    } else {
        let messages = json!([{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]);
        json!({"model": model, "messages": messages})
    };
    if let Some(members) = body.as_object_mut() {
        members.insert("temperature".to_owned(), json!(0.7));
        members.insert("max_tokens".to_owned(), json!(256));
        if args.stream {
            members.insert("stream".to_owned(), json!(true));
        }
        if args.stream && !of_anthropic {
            members.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
    }
    body
}

/// One connection, until the end of the run.
async fn work(run: Arc<Run>, worker: u32) {
    let mut connection = None;
    let step = run.args.rate.map(|rate| Duration::from_secs_f64(f64::from(run.args.connections) / rate));
    let mut due = run.began + step.map_or(Duration::ZERO, |step| step * worker / run.args.connections);
    loop {
        if step.is_some() {
            tokio::time::sleep_until(due.into()).await;
        } else {
            due = Instant::now();
        }
        if due >= run.to || !may_send(&run) {
            return;
        }
        let result = exchange(&run, &mut connection).await;
        count(&run, due, result);
        due += step.unwrap_or_default();
    }
}

fn may_send(run: &Run) -> bool {
    let Some(most) = run.args.count else { return true };
    let mut sent = run.sent.lock().unwrap_or_else(PoisonError::into_inner);
    *sent += 1;
    *sent <= most
}

struct Answer {
    ok: bool,
    first: Instant,
    bytes: usize,
}

type Connection = SendRequest<Full<Bytes>>;

async fn exchange(run: &Run, kept: &mut Option<Connection>) -> anyhow::Result<Answer> {
    let mut connection = match kept.take() {
        Some(connection) if connection.is_ready() => connection,
        _ => connect(run).await?,
    };
    let mut request = Request::post(&run.args.path)
        .header("host", run.args.address.to_string())
        .header("content-type", "application/json");
    for header in &run.args.headers {
        let (name, value) = header.split_once(':').context("a header without a colon")?;
        request = request.header(name.trim(), value.trim());
    }
    let answer = connection.send_request(request.body(Full::new(run.body.clone()))?).await?;
    let ok = answer.status().is_success();
    let mut body = answer.into_body();
    let (mut first, mut bytes) = (None, 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            first.get_or_insert_with(Instant::now);
            bytes += data.len();
        }
    }
    // Ready only after the connection has seen the end of the answer.
    if connection.ready().await.is_ok() {
        *kept = Some(connection);
    }
    Ok(Answer { ok, first: first.unwrap_or_else(Instant::now), bytes })
}

async fn connect(run: &Run) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(run.args.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let mut task = JoinSet::new();
    task.spawn(connection);
    task.detach_all();
    Ok(sender)
}

fn count(run: &Run, due: Instant, result: anyhow::Result<Answer>) {
    let now = Instant::now();
    if now < run.from || now >= run.to {
        return;
    }
    let mut tally = run.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let micros = |since: Instant| u64::try_from((since - due).as_micros()).unwrap_or(u64::MAX);
    match result {
        Ok(answer) => {
            if answer.ok {
                tally.ok += 1;
            } else {
                tally.refused += 1;
            }
            tally.bytes += u64::try_from(answer.bytes).unwrap_or(0);
            tally.latencies_us.push(micros(now));
            tally.first_bytes_us.push(micros(answer.first));
        }
        Err(error) => {
            tally.errors += 1;
            tally.first_error.get_or_insert_with(|| format!("{error:#}"));
        }
    }
}

/// CPU time and memory of a process and its children.
#[derive(Default)]
struct Process {
    cpu_us: u64,
    rss_kb: u64,
    peak_kb: u64,
}

impl Process {
    fn tree(pid: u32) -> Self {
        let mut sum = Self::of(pid);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                let part = Self::tree(child);
                sum.cpu_us += part.cpu_us;
                sum.rss_kb += part.rss_kb;
                sum.peak_kb += part.peak_kb;
            }
        }
        sum
    }

    fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        // After the name in parentheses come the fields from the third on: 14 and 15 are the ticks,
        // of which Linux gives user space 100 a second.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        let status = read("status");
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or(0)
        };
        Self { cpu_us: ticks * 10_000, rss_kb: kb("VmRSS:"), peak_kb: kb("VmHWM:") }
    }
}

fn print(run: &Run, before: &Process, after: &Process, took: Duration) {
    let mut tally = run.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let tally = &mut *tally;
    let answered = tally.ok + tally.refused;
    let cpu_us = after.cpu_us.saturating_sub(before.cpu_us);
    tally.latencies_us.sort_unstable();
    tally.first_bytes_us.sort_unstable();
    let line = json!({
        "ok": tally.ok,
        "refused": tally.refused,
        "errors": tally.errors,
        "first_error": tally.first_error,
        "rps": ratio(answered, 1) / took.as_secs_f64(),
        "p50_ms": quantile(&tally.latencies_us, 50),
        "p99_ms": quantile(&tally.latencies_us, 99),
        "first_byte_p50_ms": quantile(&tally.first_bytes_us, 50),
        "first_byte_p99_ms": quantile(&tally.first_bytes_us, 99),
        "cpu_us_per_request": ratio(cpu_us, answered),
        "cpu_percent": ratio(cpu_us, 10_000) / took.as_secs_f64(),
        "rss_before_mb": ratio(before.rss_kb, 1024),
        "rss_peak_mb": ratio(after.peak_kb, 1024),
        "bytes": tally.bytes,
    });
    println!("{line}");
}

#[expect(clippy::cast_precision_loss, reason = "figures for a table")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Milliseconds at a percentile of sorted microseconds.
fn quantile(sorted: &[u64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |us| ratio(*us, 1000))
}
