//! Finds a Postgres for the tests, or starts one of its own.
//!
//! In this order: the server that `TEST_DATABASE_URL` names; one started from binaries on the
//! machine; Debian's package, when root; the npm package that carries the binaries.
//!
//! - Start with [`Postgres::find_or_start`].
//! - **Invariant:** a server that was started here is stopped and its files are removed.
//! - Postgres refuses to run as root, so a root process starts it as another user.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::Context;
use serde_json::{Value, json};

use crate::child::free_port;
use crate::place::{Place, is_root, on_path, run_quietly};
use crate::tools;

/// A server that answers at `url`.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    port: u16,
    own: Option<Own>,
}

/// A server of our own.
#[derive(Debug)]
struct Own {
    binaries: Binaries,
    folder: PathBuf,
    user: Vec<OsString>,
}

/// Where `initdb` and `pg_ctl` are.
#[derive(Clone, Debug)]
struct Binaries {
    bin: PathBuf,
    lib: Option<PathBuf>,
}

impl Postgres {
    /// A server for the tests.
    pub(crate) fn find_or_start(place: &Place) -> anyhow::Result<Self> {
        if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            println!("Postgres: as TEST_DATABASE_URL says");
            return Ok(Self { url, port: 0, own: None });
        }
        let (binaries, source) = find_binaries(place)?;
        println!("Postgres: started from {source}");
        start(binaries, "tests")
    }

    /// A server that nobody else uses, whatever `TEST_DATABASE_URL` says: its tests stop it.
    pub(crate) fn start_own(place: &Place, name: &str) -> anyhow::Result<Self> {
        let (binaries, source) = find_binaries(place)?;
        println!("Postgres for {name}: started from {source}");
        start(binaries, name)
    }

    /// What `baton_testkit::postgres::Server` needs to stop and start it.
    pub(crate) fn description(&self) -> Option<Value> {
        let own = self.own.as_ref()?;
        let command = own.starting(self.port);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let environment: serde_json::Map<_, _> = command
            .get_envs()
            .filter_map(|(name, value)| {
                Some((name.to_string_lossy().into_owned(), value?.to_string_lossy().into()))
            })
            .collect();
        Some(json!({"url": self.url, "data": own.data(), "start": words, "environment": environment}))
    }
}

fn find_binaries(place: &Place) -> anyhow::Result<(Binaries, String)> {
    if let Some(bin) = installed() {
        let shown = bin.display().to_string();
        return Ok((Binaries { bin, lib: None }, shown));
    }
    if is_root() && on_path("apt-get").is_some() {
        println!("Postgres: installing Debian's package");
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends", "postgresql"]);
        let install = apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        match (run_quietly(install), installed()) {
            (Ok(_), Some(bin)) => return Ok((Binaries { bin, lib: None }, "Debian's package".to_owned())),
            (Ok(_), None) => println!("Debian's package brought no `initdb`"),
            (Err(error), _) => println!("Debian's package cannot be had: {error:#}"),
        }
    }
    let native = tools::embedded_postgres(place).context(
        "no Postgres: set TEST_DATABASE_URL, or install one whose `initdb` is on the path or under /usr/lib/postgresql",
    )?;
    let binaries = Binaries { bin: native.join("bin"), lib: Some(native.join("lib")) };
    Ok((binaries, "the npm package".to_owned()))
}

/// The folder with `initdb` and `pg_ctl`, of Debian's versions the newest.
fn installed() -> Option<PathBuf> {
    if let Some(initdb) = on_path("initdb").filter(|_| on_path("pg_ctl").is_some()) {
        return initdb.parent().map(Path::to_owned);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(Result::ok).map(|version| version.path().join("bin"));
    let usable = folders.filter(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists());
    usable.max_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|name| name.parse::<u32>().ok())
    })
}

fn start(binaries: Binaries, name: &str) -> anyhow::Result<Postgres> {
    let folder = std::env::temp_dir().join(format!("baton-postgres-{name}-{}", process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let user = choose_user(&binaries, &folder)?;
    let own = Own { binaries, folder, user };
    let mut initdb = own.command("initdb");
    initdb.arg("-D").arg(own.data()).args([
        "-U",
        "baton",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    run_quietly(&mut initdb)?;
    let port = free_port()?.port();
    // The server inherits what its starter was given: a pipe would stay open as long as it runs.
    let mut pg_ctl = own.starting(port);
    let status = pg_ctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !status.context("starting `pg_ctl`")?.success() {
        let log = fs::read_to_string(own.folder.join("log")).unwrap_or_default();
        anyhow::bail!("Postgres did not start:\n{log}");
    }
    Ok(Postgres { url: format!("postgres://baton@127.0.0.1:{port}/postgres"), port, own: Some(own) })
}

/// The words before a command that run it as a user Postgres accepts, and that can read its files.
fn choose_user(binaries: &Binaries, folder: &Path) -> anyhow::Result<Vec<OsString>> {
    if !is_root() {
        return Ok(Vec::new());
    }
    let ways: [&[&str]; 3] = [
        &["runuser", "-u", "postgres", "--"],
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        &["unshare", "--user", "--map-user=1000", "--map-group=1000"],
    ];
    let owners = ["postgres", "65534:65534", "0:0"];
    for (way, owner) in ways.into_iter().zip(owners) {
        let user = way.iter().map(OsString::from).collect::<Vec<_>>();
        let chown = Command::new("chown").arg("-R").arg(owner).arg(folder).stderr(Stdio::null()).status();
        let mut probe = wrapped(&user, Path::new("test"));
        let probe = probe.arg("-x").arg(binaries.bin.join("initdb")).arg("-a").arg("-w").arg(folder);
        let reads = probe.stderr(Stdio::null()).status();
        if chown.is_ok_and(|status| status.success()) && reads.is_ok_and(|status| status.success()) {
            return Ok(user);
        }
    }
    anyhow::bail!("Postgres does not run as root, and no other user can read {}", binaries.bin.display())
}

fn wrapped(user: &[OsString], program: &Path) -> Command {
    match user.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

impl Own {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The command that starts it and ends when it takes connections.
    fn starting(&self, port: u16) -> Command {
        // Speed matters here and crashes of the machine do not.
        let options = format!(
            "-k {} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200",
            self.folder.display()
        );
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.arg("-D").arg(self.data()).arg("-l").arg(self.folder.join("log"));
        pg_ctl.args(["-w", "-o", &options, "start"]);
        pg_ctl
    }

    fn command(&self, program: &str) -> Command {
        let mut command = wrapped(&self.user, &self.binaries.bin.join(program));
        command.current_dir(&self.folder);
        if let Some(lib) = &self.binaries.lib {
            command.env("LD_LIBRARY_PATH", lib);
        }
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]);
        if let Err(error) = run_quietly(&mut stop) {
            println!("warning: Postgres could not be stopped: {error:#}");
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            println!("warning: {} could not be removed: {error}", self.folder.display());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.own.take());
    }
}
