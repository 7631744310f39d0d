//! A Postgres server that a test may stop, freeze and starve.
//!
//! `cargo xtask outage` starts one for nobody else and says in a variable where it is and how it is
//! started again.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::Deserialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// Describes the server, as JSON.
const VARIABLE: &str = "BATON_OUTAGE_SERVER";
/// How long it may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// How often a wait looks again.
const LOOK: Duration = Duration::from_millis(20);
/// A server that takes this many connections has no bound worth testing.
const MOST_HELD: usize = 500;

/// A server of the test's own.
#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    /// A URL of its superuser.
    pub url: String,
    /// Its data directory.
    data: PathBuf,
    /// The command that starts it and returns when it takes connections.
    start: Vec<String>,
    /// What that command needs in its environment.
    environment: HashMap<String, String>,
}

/// Connections that leave none for others. They are given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    connections: Vec<PgConnection>,
}

impl Server {
    /// The server that the variable describes; none when it is not set.
    ///
    /// # Errors
    /// When the variable cannot be read.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        match std::env::var(VARIABLE) {
            Ok(text) => serde_json::from_str(&text).map(Some).context("reading BATON_OUTAGE_SERVER"),
            Err(_unset) => Ok(None),
        }
    }

    /// Makes sure that it runs and takes writes, whatever an earlier test did to it.
    ///
    /// # Errors
    /// When it cannot be brought to that.
    pub async fn ensure_well(&self) -> anyhow::Result<()> {
        match self.main() {
            Ok(main) if test_kill_process(main).is_ok() => self.thaw()?,
            _ => self.start().await?,
        }
        self.set_read_only(false).await
    }

    /// Stops it at once, as a crash would: nothing is finished and nobody is told.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let main = self.main()?;
        kill_process(main, Signal::QUIT).context("stopping Postgres")?;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while test_kill_process(main).is_ok() {
            if Instant::now() > deadline {
                bail!("Postgres did not stop in {STOPPED_WITHIN:?}");
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts it again, and returns when it takes connections.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> anyhow::Result<()> {
        let (program, arguments) = self.start.split_first().context("no command that starts Postgres")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(&self.environment).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await.context("starting Postgres")?;
        if !status.success() {
            bail!("Postgres did not start: {status}");
        }
        Ok(())
    }

    /// Stops every process of it where it stands: connections stay open, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let main = self.main()?;
        // The main one first, so that it begins no other in between.
        kill_process(main, Signal::STOP).context("freezing Postgres")?;
        each_child(main, Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> anyhow::Result<()> {
        let main = self.main()?;
        each_child(main, Signal::CONT)?;
        kill_process(main, Signal::CONT).context("thawing Postgres")
    }

    /// Takes every connection that it has, those of gateways too, and holds them.
    ///
    /// # Errors
    /// When it cannot be reached at first, or never runs out.
    pub async fn exhaust(&self) -> anyhow::Result<Held> {
        let mut first = PgConnection::connect(&self.url).await.context("connecting to Postgres")?;
        let mut held = Vec::new();
        let mut refused = 0;
        // A gateway may be quicker to take a place that became free, so it is ended until none has one.
        while refused < 3 {
            first
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'baton'",
                )
                .await
                .context("ending the gateway's connections")?;
            loop {
                match PgConnection::connect(&self.url).await {
                    Ok(connection) => held.push(connection),
                    Err(sqlx::Error::Database(_)) => break,
                    Err(error) => return Err(error).context("connecting to Postgres"),
                }
                if held.len() > MOST_HELD {
                    bail!("Postgres did not run out of connections");
                }
            }
            let (theirs,): (i64,) =
                sqlx::query_as("select count(*) from pg_stat_activity where application_name = 'baton'")
                    .fetch_one(&mut first)
                    .await
                    .context("counting the gateway's connections")?;
            refused = if theirs == 0 { refused + 1 } else { 0 };
        }
        held.push(first);
        Ok(Held { connections: held })
    }

    /// Lets nobody write, or lets everybody again.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn set_read_only(&self, read_only: bool) -> anyhow::Result<()> {
        let mut server = PgConnection::connect(&self.url).await.context("connecting to Postgres")?;
        let statement = if read_only {
            "alter system set default_transaction_read_only = on"
        } else {
            "alter system set default_transaction_read_only = off"
        };
        server.execute("set transaction_read_only = off").await.context("making an exception")?;
        server.execute(statement).await.context("changing the server's settings")?;
        server.execute("select pg_reload_conf()").await.context("reloading the server's settings")?;
        Ok(())
    }

    /// The process that all others are children of.
    fn main(&self) -> anyhow::Result<Pid> {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).context("Postgres does not run")?;
        let number = text.lines().next().and_then(|line| line.trim().parse().ok());
        number.and_then(Pid::from_raw).with_context(|| format!("no process in {}", file.display()))
    }
}

impl Held {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }
}

/// Sends a signal to every child of a process that still lives.
fn each_child(parent: Pid, signal: Signal) -> anyhow::Result<()> {
    for entry in fs::read_dir("/proc").context("looking at the processes")? {
        let name = entry.context("looking at the processes")?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Some(child) = Pid::from_raw(number).filter(|_| parent_of(number).ok() == Some(Some(parent)))
        else {
            continue;
        };
        match kill_process(child, signal) {
            // It has ended in between.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).context("sending a signal to a process of Postgres"),
        }
    }
    Ok(())
}

/// The parent of a process, by the fourth field of its state. The name before it may hold anything.
fn parent_of(process: i32) -> io::Result<Option<Pid>> {
    let state = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let rest = state.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()).and_then(Pid::from_raw))
}
