//! A server for the commands of one document, and the environment that they run in.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use baton_testkit::process::folder;
use baton_upstream::PRESETS;
use tempfile::TempDir;

/// The variables that tell of nothing but the machine.
const KEPT: [&str; 2] = ["LANG", "RUST_BACKTRACE"];

/// A running server in a folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    pub(crate) home: Home,
}

/// A folder with a data directory and a `baton` on its path.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(folder().expect("a temporary folder"));
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_baton"), bin.join("baton")).expect("a link");
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program in this folder, with none of the user's own settings.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path()).stdin(Stdio::null());
        for name in KEPT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .env("BATON_DATA_DIR", self.path().join("data"));
        command
    }

    /// The same, with a key for every provider and what else the examples take from the environment.
    pub(crate) fn furnished(&self, program: &str) -> Command {
        let mut command = self.command(program);
        for name in PRESETS.iter().flat_map(|preset| preset.key_env) {
            command.env(name, "sk-of-the-documentation");
        }
        command.env("INTERNAL_KEY", "sk-of-the-documentation");
        command
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let home = Home::new();
        let mut command = home.command(env!("CARGO_BIN_EXE_baton"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut log = BufReader::new(child.stderr.take().expect("standard error"));
        let mut said = String::new();
        let address = loop {
            assert!(log.read_line(&mut said).expect("a line") > 0, "the server ended: {said}");
            let found = said.split_once(" on http://").and_then(|(_, rest)| rest.split_whitespace().next());
            if let Some(address) = found {
                break address.to_owned();
            }
        };
        // Somebody has to read what it says, or it would wait for that.
        drop(thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop)));
        Self { child, address, home }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("a process that can be ended");
        self.child.wait().expect("its end");
    }
}
