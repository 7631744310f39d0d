//! Runs the gateway's binary as a user would, and ends it in every way it must survive.
//!
//! - Start with [`Setup::start`]; [`folder`] is for tests that start it in their own way.
//! - **Invariant:** a [`Process`] that is dropped leaves nothing running; it is ended by its id.
//! - **Invariant:** its environment is empty but for the path, so no key of the user's is used.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Names a folder that keeps what the tests' servers leave behind, to be looked through afterwards.
pub const KEEP: &str = "BATON_KEEP_HOMES";

/// A folder for one server: gone with the test, or kept where [`KEEP`] says.
///
/// # Errors
/// When it cannot be made.
pub fn folder() -> std::io::Result<TempDir> {
    let mut named = tempfile::Builder::new();
    named.prefix("baton-");
    match std::env::var_os(KEEP) {
        Some(kept) => named.disable_cleanup(true).tempdir_in(kept),
        None => named.tempdir(),
    }
}

/// How often an ordinary wait looks again.
const LOOK: Duration = Duration::from_millis(10);

/// A gateway's binary with a folder and a file of its own.
#[derive(Debug)]
pub struct Setup {
    binary: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Takes a folder and a port; `config` is the file without `listen` and `data_dir`.
    ///
    /// # Errors
    /// When the folder cannot be made or no port can be had.
    pub fn new(binary: impl Into<PathBuf>, config: &str) -> anyhow::Result<Self> {
        let folder = folder().context("making a folder")?;
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("a free port")?;
        let setup = Self { binary: binary.into(), folder, address, environment: Vec::new() };
        setup.write_config(config)?;
        Ok(setup)
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the file; `listen` and `data_dir` stay.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, config: &str) -> anyhow::Result<()> {
        let data = self.data_dir();
        let text = format!("listen: {}\ndata_dir: \"{}\"\n{config}", self.address, data.display());
        fs::write(self.config(), text).context("writing the file")
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("baton.yaml")
    }

    /// Where it will listen.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A command of the binary with the file, to be run to its end.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--config").arg(self.config()).current_dir(self.folder.path());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.kill_on_drop(true);
        command
    }

    /// Starts serving and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in 30 s; the error holds what it wrote.
    pub async fn start(&self) -> anyhow::Result<Process> {
        self.start_with(&[]).await
    }

    /// The same with more variables, this time only.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(&self, environment: &[(&str, &str)]) -> anyhow::Result<Process> {
        let log = self.folder.path().join("stderr.log");
        let output = File::options().create(true).append(true).open(&log).context("making the log")?;
        let mut command = self.command(&["serve"]);
        command.envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).spawn();
        let mut process =
            Process { child: child.context("starting the gateway")?, address: self.address, log };
        process.wait_ready(Duration::from_secs(30)).await?;
        Ok(process)
    }
}

/// A gateway that is running.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where it writes what is for its operator; the file outlives it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.log.clone()
    }

    /// What it and those before it with the same setup wrote on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once, as the kernel would: nothing of its own runs any more.
    ///
    /// # Errors
    /// When it has already ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the gateway")
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not within this time.
    pub async fn ended(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => status.context("waiting for the gateway"),
            Err(_late) => bail!("the gateway did not end in {within:?}:\n{}", self.stderr()),
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not end within this time.
    pub async fn terminate(self, within: Duration) -> anyhow::Result<ExitStatus> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("the gateway has ended before")?, Signal::TERM)
            .context("asking it to end")?;
        self.ended(within).await
    }

    async fn wait_ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let uri = format!("http://{}/readyz", self.address).parse::<http::Uri>()?;
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().context("asking for its state")? {
                bail!("the gateway ended with {status}:\n{}", self.stderr());
            }
            let request = http::Request::get(uri.clone()).body(Empty::<bytes::Bytes>::new())?;
            if let Ok(answer) = client.request(request).await
                && answer.status().is_success()
                && answer.into_body().collect().await.is_ok()
            {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("the gateway was not ready in {within:?}:\n{}", self.stderr());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
