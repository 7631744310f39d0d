//! `baton doctor`: checks what a working gateway needs, and says what to do about what is missing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use baton_config::{Config, Database, NoteKind};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::control::SOCKET;
use crate::output::{json as print_json, line};

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
    let server = server(config).await;
    let findings = if live { vec![server] } else { checks(config, server) };
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

fn checks(config: &Config, server: Finding) -> Vec<Finding> {
    let mut findings = vec![data_dir(config), database(config), providers(config)];
    findings.extend(agents(config));
    findings.push(server);
    findings
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            (true, format!("`{}` will be made at the first start", dir.display()))
        }
        Err(error) => (false, format!("`{}`: {error}", dir.display())),
    };
    Finding { what: "data", ok, said }
}

fn database(config: &Config) -> Finding {
    let given =
        std::env::var_os("BATON_MASTER_KEY").is_some() || std::env::var_os("BATON_MASTER_KEY_FILE").is_some();
    match &config.database {
        Database::Sqlite => Finding { what: "store", ok: true, said: "embedded SQLite".to_owned() },
        Database::Postgres(_) if !given => Finding {
            what: "store",
            ok: false,
            said: "Postgres, but no master key is given: set `BATON_MASTER_KEY` (`openssl rand -base64 32` makes one)".to_owned(),
        },
        Database::Postgres(_) => Finding { what: "store", ok: true, said: "Postgres; a running server tells on /readyz whether it answers".to_owned() },
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

async fn server(config: &Config) -> Finding {
    let address = reachable(config.listen);
    let (ok, said) = match tokio::time::timeout(PATIENCE, ready(address)).await {
        Ok(Ok(true)) => (true, format!("answers on {address} and is ready")),
        Ok(Ok(false)) => {
            (false, format!("answers on {address} and is not ready: see http://{address}/readyz"))
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
