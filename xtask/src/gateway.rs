//! Starts the gateway with a file written for the purpose.
//!
//! - **Invariant:** its environment is empty but for the path, so no key of the user's is used.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::child::{Child, free_port};
use crate::place::{Place, Profile};

/// 32 bytes in base64.
const MASTER_KEY: &str = "eHRhc2steHRhc2steHRhc2steHRhc2steHRhc2sxMjM=";

/// How the gateway is set up.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) place: &'a Place,
    pub(crate) profile: Profile,
    /// Where its files go.
    pub(crate) folder: PathBuf,
    /// The fake upstream behind all of its providers.
    pub(crate) fake: SocketAddr,
    pub(crate) database: Option<&'a str>,
    /// Words before the command, such as `taskset -c 1`.
    pub(crate) wrapper: &'a [&'a str],
    pub(crate) auth: Auth,
}

/// Whether callers need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Open,
    Required,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Setup<'_> {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Gateway> {
        self.start_with(|listen| self.file(listen))
    }

    /// Starts it with another file, which is to make it listen where it is told.
    pub(crate) fn start_with(&self, file: impl FnOnce(SocketAddr) -> String) -> anyhow::Result<Gateway> {
        let address = free_port()?;
        fs::write(self.config(), file(address)).context("writing the gateway's file")?;
        let log = fs::File::create(self.folder.join("baton.log")).context("making the gateway's log")?;
        let mut command = self.command();
        command.args(["serve", "--config"]).arg(self.config()).stdout(Stdio::null()).stderr(log);
        let mut child = Child::start("baton", &mut command)?;
        child
            .wait_ready(address, "/readyz", Duration::from_secs(30))
            .with_context(|| fs::read_to_string(self.folder.join("baton.log")).unwrap_or_default())?;
        Ok(Gateway { child, address })
    }

    /// Makes a key; the gateway may be running or not.
    pub(crate) fn make_key(&self) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(["keys", "create", "xtask", "--json", "--config"]).arg(self.config());
        let output = command.output().context("running `baton keys create`")?;
        if !output.status.success() {
            anyhow::bail!("`baton keys create` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading the key")?;
        let key = ["secret", "key", "token"].iter().find_map(|name| made.get(*name)?.as_str());
        key.map(str::to_owned).with_context(|| format!("no key in what `baton keys create` said: {made}"))
    }

    fn command(&self) -> Command {
        let binary = self.place.binary(self.profile, "baton");
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&binary);
                command
            }
            None => Command::new(&binary),
        };
        command.env_clear().current_dir(&self.folder);
        if self.database.is_some() {
            // With Postgres every replica must be given the same: here any will do.
            command.env("BATON_MASTER_KEY", MASTER_KEY);
        }
        for kept in ["PATH", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }

    fn config(&self) -> PathBuf {
        self.folder.join("baton.yaml")
    }

    fn file(&self, listen: SocketAddr) -> String {
        let auth = match self.auth {
            Auth::Open => "false",
            Auth::Required => "true",
        };
        let data = self.folder.join("data");
        let (fake, database) = (self.fake, self.database.unwrap_or("sqlite"));
        format!(
            r#"listen: {listen}
data_dir: "{data}"
database: "{database}"
auth: {{ required: {auth} }}
providers:
  oai:
    dialect: openai_chat
    base_url: "http://{fake}/v1"
    api_key: fake-key
    models: [fake, fake-small, fake-claude-sonnet-4]
  resp:
    dialect: openai_responses
    base_url: "http://{fake}/v1"
    api_key: fake-key
    models: [fake, fake-small, fake-claude-sonnet-4]
  ant:
    dialect: anthropic_messages
    base_url: "http://{fake}"
    api_key: fake-key
    models: [fake, fake-small, fake-claude-sonnet-4]
"#,
            data = Path::new(&data).display(),
        )
    }
}
