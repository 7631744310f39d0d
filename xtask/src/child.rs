//! Starts a program beside this one, and ends it when it is no longer needed.
//!
//! - **Invariant:** a [`Child`] that is dropped leaves no process behind; it is ended by its id.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running program.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    name: String,
}

impl Child {
    /// Starts it; its output goes to the log file of that name in its scratch folder.
    pub(crate) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let process = command.stdin(Stdio::null()).spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { process, name: name.to_owned() })
    }

    /// Starts it and reads its first line of output, which ends with the address that it listens on, or with the
    /// port of the loopback.
    pub(crate) fn start_listening(name: &str, command: &mut Command) -> anyhow::Result<(Self, SocketAddr)> {
        let mut child = Self::start(name, command.stdout(Stdio::piped()))?;
        let output = child.process.stdout.take().context("the output of the child")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).with_context(|| format!("reading from {name}"))?;
        let loopback = |word: &str| Some(SocketAddr::from(([127, 0, 0, 1], word.parse().ok()?)));
        let address =
            line.split_whitespace().last().and_then(|word| word.parse().ok().or_else(|| loopback(word)));
        let address =
            address.with_context(|| format!("{name} said `{}` instead of its address", line.trim()))?;
        Ok((child, address))
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until `GET path` is answered with 200.
    pub(crate) fn wait_ready(
        &mut self,
        address: SocketAddr,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.process.try_wait().context("asking for the child's state")? {
                bail!("{} ended with {status} before it was ready", self.name);
            }
            if answers_ok(address, path) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} was not ready after {within:?}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Asked first, so that it can finish what it writes; then made to.
        let asked = Command::new("kill").arg(self.process.id().to_string()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while asked.is_ok() && Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        if self.process.kill().is_err() || self.process.wait().is_err() {
            println!("warning: {} (process {}) could not be ended", self.name, self.process.id());
        }
    }
}

fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut head = Vec::new();
        stream.take(64).read_to_end(&mut head)?;
        Ok(head)
    };
    ask().is_ok_and(|head| head.starts_with(b"HTTP/1.1 200"))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}
