//! `baton doctor`: checks what a working gateway needs, and says what to do about what is missing.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use axum::http::{Request, Uri};
use baton_config::{Config, Database, NoteKind};
use baton_net::body::Chunks;
use baton_net::client::HttpClient;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::control::SOCKET;
use crate::output::{json as print_json, line};
use crate::settings::client;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    ok: bool,
    said: String,
}

/// Looks at everything, or with `live` only whether a server answers.
pub(crate) async fn run(config: &Config, live: bool, json: bool) -> anyhow::Result<ExitCode> {
    let findings = if live { vec![server(config, Wanted::Now).await] } else { checks(config).await? };
    let ok = findings.iter().all(|finding| finding.ok);
    if json {
        let rows: Vec<_> = findings
            .iter()
            .map(|finding| json!({"check": finding.what, "ok": finding.ok, "says": finding.said}))
            .collect();
        print_json(&json!({"ok": ok, "checks": rows}));
    } else {
        for finding in &findings {
            line(&format!(
                "{}  {:10} {}",
                if finding.ok { "ok  " } else { "FAIL" },
                finding.what,
                finding.said
            ));
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn checks(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let mut findings = vec![data_dir(config), database(config).await, providers(config)];
    findings.extend(reached(config).await?);
    findings.extend(agents(config));
    findings.push(server(config, Wanted::Sometime).await);
    Ok(findings)
}

/// Whether every provider can be reached: its name, the way, its certificate. No key is sent.
async fn reached(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let mut clients = HashMap::new();
    let mut asking = Vec::with_capacity(config.providers.len());
    for provider in &config.providers {
        let client = client(&mut clients, PATIENCE, provider)?;
        asking.push(async move {
            let (name, url) = (&provider.upstream.name, provider.upstream.base_url.to_string());
            let (ok, said) = match tokio::time::timeout(PATIENCE, ask(&client, &url)).await {
                Ok(Ok(())) => (true, "answers".to_owned()),
                Ok(Err(error)) => (false, format!("cannot be asked: {error:#}")),
                Err(_elapsed) => (false, format!("does not answer within {} s", PATIENCE.as_secs())),
            };
            Finding { what: "provider", ok, said: format!("`{name}` at {url} {said}") }
        });
    }
    Ok(futures_util::future::join_all(asking).await)
}

/// Any answer will do.
async fn ask(client: &HttpClient, url: &str) -> anyhow::Result<()> {
    let request = Request::head(url).body(Chunks::empty())?;
    client.send(request).await.map(drop).map_err(|error| anyhow::anyhow!("{error}"))
}

/// How much of what the file says of agents is done; `baton check` has it line by line.
fn agents(config: &Config) -> Option<Finding> {
    let agents = &config.agents;
    let count = |kind| agents.report.iter().filter(|note| note.kind == kind).count();
    let (warnings, missing) = (count(NoteKind::Warning), count(NoteKind::Unsupported));
    let rest = match (warnings, missing) {
        (0, 0) => String::new(),
        _ => format!("; {missing} keys unsupported, {warnings} warnings: see `baton check`"),
    };
    let said = format!("{}{rest}", agents.agents.len());
    (!agents.agents.is_empty()).then_some(Finding { what: "agents", ok: true, said })
}

fn data_dir(config: &Config) -> Finding {
    let dir = &config.data_dir;
    let running = dir.join(SOCKET).exists();
    let (ok, said) = match std::fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => (false, format!("`{}` is not a directory", dir.display())),
        Ok(meta) if meta.permissions().readonly() => {
            (false, format!("`{}` cannot be written", dir.display()))
        }
        Ok(_) => (true, format!("`{}`{}", dir.display(), if running { ", in use by a server" } else { "" })),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (true, format!("`{}` will be made at the first start", dir.display()))
        }
        Err(error) => (false, format!("`{}`: {error}", dir.display())),
    };
    Finding { what: "data", ok, said }
}

async fn database(config: &Config) -> Finding {
    let given =
        std::env::var_os("BATON_MASTER_KEY").is_some() || std::env::var_os("BATON_MASTER_KEY_FILE").is_some();
    match &config.database {
        Database::Sqlite => Finding { what: "store", ok: true, said: "embedded SQLite".to_owned() },
        Database::Postgres(_) if !given => Finding {
            what: "store",
            ok: false,
            said: "Postgres, but no master key is given: set `BATON_MASTER_KEY` (`openssl rand -base64 32` makes one)".to_owned(),
        },
        Database::Postgres(url) => {
            let (ok, said) = postgres(url.expose()).await;
            Finding { what: "store", ok, said }
        }
    }
}

/// Whether somebody takes connections where Postgres should be. What the URL says of users stays unsaid.
async fn postgres(url: &str) -> (bool, String) {
    let uri: Option<Uri> = url.parse().ok();
    let place = uri.as_ref().and_then(|uri| Some((uri.host()?, uri.port_u16().unwrap_or(5432))));
    let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
        return (true, "Postgres; a running server tells on /readyz whether it answers".to_owned());
    };
    match tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_connection)) => (true, format!("Postgres at {host}:{port} takes connections")),
        Ok(Err(error)) => (false, format!("Postgres at {host}:{port} cannot be reached: {error}")),
        Err(_elapsed) => (false, format!("Postgres at {host}:{port} does not answer in time")),
    }
}

fn providers(config: &Config) -> Finding {
    let keyless: Vec<String> = config
        .providers
        .iter()
        .filter(|provider| provider.upstream.credentials.is_empty())
        .map(|provider| provider.upstream.name.to_string())
        .collect();
    let names: Vec<String> =
        config.providers.iter().map(|provider| provider.upstream.name.to_string()).collect();
    let said = match (names.is_empty(), keyless.is_empty()) {
        (true, _) => {
            "only `echo`: set a provider's key, such as `OPENAI_API_KEY`, or write a `baton.yaml`".to_owned()
        }
        (false, true) => names.join(", "),
        (false, false) => format!("{}; without a key: {}", names.join(", "), keyless.join(", ")),
    };
    Finding { what: "providers", ok: true, said }
}

/// Whether a server has to run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// It is asked for its health.
    Now,
    /// It may be started later.
    Sometime,
}

async fn server(config: &Config, wanted: Wanted) -> Finding {
    let address = reachable(config.listen);
    let (ok, said) = match tokio::time::timeout(PATIENCE, ready(address)).await {
        Ok(Ok(true)) => (true, format!("answers on {address} and is ready")),
        Ok(Ok(false)) => {
            (false, format!("answers on {address} and is not ready: see http://{address}/readyz"))
        }
        Ok(Err(error)) if wanted == Wanted::Sometime && error.kind() == ErrorKind::ConnectionRefused => {
            (true, format!("does not run; `baton serve` starts it on {address}, which is free"))
        }
        Ok(Err(error)) => (false, format!("does not answer on {address}: {error}; `baton serve` starts it")),
        Err(_elapsed) => (false, format!("does not answer on {address} in time")),
    };
    Finding { what: "server", ok, said }
}

/// An address to connect to for one that was listened on.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b"200"))
}
