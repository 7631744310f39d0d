//! Shows that every answer waited for its decision to be on the disk.
//!
//! The gateway runs under `strace`, which writes down its system calls in the order in which they
//! begin and return. A sync that is seen to return before the first byte of an answer is seen to
//! leave has returned before: the traced threads stand still while a call is written down.
//!
//! - Start with [`synced`]; what the order must be is in [`trace`].
//! - The upstream answers at once, so that nothing but the wait itself holds an answer back.

mod trace;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::child::Child;
use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, is_root, on_path, run, run_quietly};
use crate::steps::Went;
use trace::Order;

/// Connections that ask at the same time, so that syncs are shared.
const CONNECTIONS: &str = "8";
/// The calls that write and sync, and no others.
const CALLS: &str = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";

/// Asks so many times, whole and streamed in equal parts, and checks each answer.
pub(crate) fn synced(place: &Place, answers: u32) -> anyhow::Result<Went> {
    if let Err(error) = tracer() {
        return Ok(Went::Skipped(format!("{error:#}")));
    }
    // As the tests are built: another choice of targets would build the dependencies again.
    run(&mut place.cargo(&["build", "--workspace", "--all-targets", "--locked"]))?;
    let folder = place.scratch("synced")?;
    let calls = folder.join("calls");
    let calls_text = calls.to_str().context("a path that is text")?;
    let wrapper = ["strace", "-f", "-y", "-s", "4096", "-e", CALLS, "-o", calls_text];
    let mut upstream = Command::new(place.binary(Profile::Dev, "fake-upstream"));
    let (_upstream, fake) = Child::start_listening("fake-upstream", &mut upstream)?;
    let setup = Setup {
        place,
        profile: Profile::Dev,
        folder,
        fake,
        database: None,
        wrapper: &wrapper,
        auth: Auth::Open,
    };
    let gateway = setup.start()?;
    for stream in [false, true] {
        let mut drive = Command::new(place.binary(Profile::Dev, "drive"));
        drive.args(["--address", &gateway.address.to_string(), "--model", "oai/fake", "-c", CONNECTIONS]);
        drive.args(["--count", &answers.div_ceil(2).to_string()]);
        if stream {
            drive.arg("--stream");
        }
        run_quietly(&mut drive)?;
    }
    end(&setup)?;
    drop(gateway);
    let mut order = Order::default();
    for line in BufReader::new(File::open(&calls).context("opening what strace wrote")?).split(b'\n') {
        order.take(&String::from_utf8_lossy(&line.context("reading what strace wrote")?));
    }
    println!("{order}");
    ensure!(order.answers >= u64::from(answers), "only {} of {answers} answers were seen", order.answers);
    match order.early.first() {
        None => Ok(Went::Through),
        Some(first) => bail!("{} answers left before their sync, the first: {first}", order.early.len()),
    }
}

/// Ends the gateway itself, whose number stands in its journal's lock: `strace`, asked to end, lets go of
/// it and leaves it running.
fn end(setup: &Setup<'_>) -> anyhow::Result<()> {
    let lock = setup.folder.join("data/journal/lock");
    let number = fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
    run_quietly(Command::new("kill").arg(number.trim())).map(drop)
}

/// Makes sure that `strace` is there.
fn tracer() -> anyhow::Result<()> {
    if on_path("strace").is_none() && is_root() && on_path("apt-get").is_some() {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends", "strace"]);
        run_quietly(apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))?;
    }
    // Some machines have it and forbid its use.
    run_quietly(Command::new("strace").args(["-o", "/dev/null", "true"])).map(drop).context("no `strace`")
}
