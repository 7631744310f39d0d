//! The program under test: started, asked, signalled and stopped like any other process.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_testkit::process::folder;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::{Answer, RUNTIME, sent, until};

/// A directory with a configuration and a data directory; it outlives the servers that run in it.
#[derive(Clone, Debug)]
pub(crate) struct Home(Arc<TempDir>);

impl Home {
    pub(crate) fn new(config: &str) -> Self {
        let home = Self(Arc::new(folder().expect("a temporary directory")));
        home.write(config);
        home
    }

    /// Replaces the configuration as an editor does: by another file of that name.
    pub(crate) fn write(&self, config: &str) {
        let draft = self.0.path().join("draft");
        std::fs::write(&draft, config).expect("a written file");
        std::fs::rename(draft, self.config()).expect("a renamed file");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.path().join("baton.yaml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Every byte under the data directory, file by file.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    found.push((entry.path(), std::fs::read(entry.path()).expect("a readable file")));
                }
            }
        }
        found
    }

    /// The program with arguments, in an environment of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command
            .args(arguments)
            .env_clear()
            .env("BATON_CONFIG", self.config())
            .env("BATON_DATA_DIR", self.data())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// What a command said.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Output {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
pub(crate) async fn baton(home: &Home, arguments: &[&str]) -> Output {
    finished(home.command(arguments)).await
}

pub(crate) async fn finished(mut command: Command) -> Output {
    let output = command.output().await.expect("the program");
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Baton {
    child: Child,
    pid: Pid,
    url: String,
    pub(crate) home: Home,
    log: Log,
    client: Client,
    key: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, source: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        drop(RUNTIME.spawn(async move {
            let mut lines = BufReader::new(source).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = log.text();
                text.push_str(&line);
                text.push('\n');
            }
        }));
    }
}

impl Baton {
    /// Starts with this configuration on a free port.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_in(Home::new(config), &[]).await
    }

    /// Starts in this directory with these variables of the environment.
    pub(crate) async fn start_in(home: Home, environment: &[(&str, &str)]) -> Self {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        Self::started(home, command).await
    }

    pub(crate) async fn started(home: Home, mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program");
        let log = Log::default();
        log.follow(child.stderr.take().expect("standard error"));
        log.follow(child.stdout.take().expect("standard output"));
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("a process");
        let url = until("the server says where it listens", async || {
            let text = log.text().clone();
            assert!(!text.contains("error:"), "{text}");
            let greeting = text.lines().find(|line| line.starts_with("baton ") && line.contains("docs"))?;
            greeting.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
        })
        .await;
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { child, pid, url, home, log, client, key: None }
    }

    /// The same server, asked with this key.
    pub(crate) fn set_key(&mut self, key: &str) {
        self.key = Some(key.to_owned());
    }

    pub(crate) const fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn log(&self) -> String {
        self.log.text().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("a signal that was sent");
    }

    /// Waits until the process has ended; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let ending = tokio::time::timeout(super::PATIENCE, self.child.wait()).await;
        ending.expect("an end").expect("a status").code()
    }

    /// A request without a key of its own.
    pub(crate) fn keyless(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.keyless(method, path);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        sent(self.request(Method::GET, path)).await
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        sent(self.posting(path, body)).await
    }

    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body).await
    }

    pub(crate) async fn messages(&self, body: &Value) -> Answer {
        self.post("/v1/messages", body).await
    }

    pub(crate) async fn responses(&self, body: &Value) -> Answer {
        self.post("/v1/responses", body).await
    }

    /// The run behind an answer, once every attempt of it has its outcome.
    pub(crate) async fn run_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-baton-run-id");
        assert!(id.starts_with("run_"), "no run behind {answer:?}");
        self.settled(id).await
    }

    /// A run or a decision by its id, once every attempt has its outcome.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        until("every attempt has its outcome", async || {
            let run = self.get(&format!("/v1/decisions/{id}")).await;
            let run = (run.status == 200).then(|| run.json())?;
            let open = run["decisions"].as_array()?.iter().any(|one| one["outcome"]["status"] == "running");
            (!open).then_some(run)
        })
        .await
    }
}

impl Drop for Baton {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}
