//! A server that is a program of this machine.
//!
//! - **Invariant:** the program sees `PATH` and the variables that the configuration lists, no others: the
//!   gateway's own environment holds keys of providers.
//! - **Invariant:** it runs in a process group of its own, and the whole group ends with the connection.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use baton_model::Secret;
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::HARD_LIMIT;
use super::trouble::Trouble;
use crate::fault::Fault;

/// How long the program has to end by itself once its input is closed, and again once it is asked.
const GRACE: Duration = Duration::from_secs(2);

/// A running program and its two pipes.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    group: Group,
    pipes: Pipes,
}

struct Pipes(AsyncRwTransport<RoleClient, Lines<ChildStdout>, ChildStdin>);

impl std::fmt::Debug for Pipes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipes")
    }
}

impl Program {
    /// Starts the program.
    pub(crate) fn start(
        command: &[String],
        env: &[(String, Secret<String>)],
        path: Option<OsString>,
        trouble: Trouble,
    ) -> Result<Self, Fault> {
        let (program, arguments) = command.split_first().ok_or(Fault::NotStarted(io::ErrorKind::NotFound))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(path.map(|path| ("PATH", path)))
            .envs(env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a program writes here may hold secrets of its own, and it can write without end.
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Fault::NotStarted(error.kind()))?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Fault::NotStarted(io::ErrorKind::BrokenPipe));
        };
        let lines = Lines { inner: output, length: 0, trouble };
        Ok(Self { child, group, pipes: Pipes(AsyncRwTransport::new_client(lines, input)) })
    }

    async fn ends_in_time(&mut self) -> bool {
        tokio::time::timeout(GRACE, self.child.wait()).await.is_ok()
    }
}

impl Transport<RoleClient> for Program {
    type Error = io::Error;

    fn send(&mut self, item: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.pipes.0.send(item)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.pipes.0.receive().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.pipes.0.close().await?;
        if !self.ends_in_time().await {
            self.group.signal(Signal::TERM);
            self.ends_in_time().await;
        }
        self.group.end();
        Ok(())
    }
}

/// The group of processes that a program and its children are in.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error means that nobody is left.
            let _nobody_is_left = kill_process_group(group, signal);
        }
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends the stream at a line that is too long, in place of reading on for a newline that may not come.
#[derive(Debug)]
struct Lines<R> {
    inner: R,
    length: usize,
    trouble: Trouble,
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        self.length = match read.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => read.len() - end - 1,
            None => self.length.saturating_add(read.len()),
        };
        if self.length > HARD_LIMIT {
            self.trouble.set(Fault::TooLarge(HARD_LIMIT));
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}
