//! The one command that proves a change: every test there is, in order of cost.
//!
//! - Start with [`test`].
//! - Tests are chosen by filter and not by package: another choice of packages would build
//!   the dependencies again with other features.

use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::bail;

use crate::place::{Place, Profile, on_path, run};
use crate::postgres::Postgres;
use crate::replay::Homes;
use crate::steps::{Steps, Went};
use crate::{conform, matrix, mcp, openapi, outage, sdk, synced, tools};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// For the work in between.
    Fast,
    /// Everything.
    Full,
}

const STORES: &str = "package(baton-store-postgres) + package(baton-store-sqlite)";
const KILL: &str = "package(baton) & binary(kill)";
const BLACK_BOX: &str = "package(baton) & kind(test) - binary(kill) - binary(outage)";
const OUTAGE: &str = "package(baton) & binary(outage)";
/// How long each outage of the store and of the disk lasts here, in seconds.
const OUTAGE_SECS: u32 = 3;
/// How many answers are watched to wait for the disk.
const SYNCED_ANSWERS: u32 = 200;
/// Where the black-box tests write down what they were answered, as `tests/blackbox/support/answer.rs` has it.
const ANSWERS: &str = "BATON_KEEP_ANSWERS";
const PUBLISHED: &str = "answers of the black-box tests against published schemas";
const REPLAY: &str = "replay of every decision of the black-box tests";

/// Runs the tests and closes with one line for each step.
pub(crate) fn test(place: &Place, extent: Extent) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    // Installing waits for the network and building for the processor: they go side by side.
    let tools = (extent == Extent::Full).then(|| {
        let place = place.clone();
        thread::spawn(move || tools::all(&place))
    });
    let mut built =
        steps.step("build", || run(&mut place.cargo(&["build", "--workspace", "--all-targets", "--locked"])));
    if extent == Extent::Full {
        built &= steps.step("release build", || {
            run(&mut place.cargo(&["build", "--release", "--workspace", "--bins", "--locked"]))
        });
    }
    if !built {
        return steps.close();
    }
    let mut postgres = None;
    steps.step_or_skip("Postgres", || match Postgres::find_or_start(place) {
        Ok(found) => {
            postgres = Some(found);
            Ok(Went::Through)
        }
        Err(error) => Ok(Went::Skipped(format!("{error:#}"))),
    });
    // The guides are tests too, and some of their blocks use an SDK.
    if extent == Extent::Full {
        steps.step("tools for the SDKs", || match tools.map(JoinHandle::join) {
            Some(Ok(installed)) => installed,
            Some(Err(_)) | None => bail!("the installing thread ended early"),
        });
    }
    if let Err(error) = rust_tests(place, &mut steps, postgres.as_ref(), extent) {
        steps.step("a place for what tests leave", || Err(error));
    }
    if extent == Extent::Full {
        steps.step("outages of the store under load", || outage::stores(place, OUTAGE_SECS));
        steps.step_or_skip("a full disk under load", || outage::disks(place, OUTAGE_SECS));
        steps.step_or_skip("every answer waits for the disk", || synced::synced(place, SYNCED_ANSWERS));
        steps.step("OpenAPI document", || openapi::check(place));
        steps.step("matrix of translations", || matrix::check(place));
        sdk::all(place, &mut steps, Profile::Release, true);
        conform::all(place, &mut steps, Profile::Release);
        mcp::all(place, &mut steps);
    }
    drop(postgres);
    steps.close()
}

fn rust_tests(
    place: &Place,
    steps: &mut Steps,
    postgres: Option<&Postgres>,
    extent: Extent,
) -> anyhow::Result<()> {
    let homes = Homes::make(place)?;
    // What they are compared with comes with the tools.
    let answers = (extent == Extent::Full).then(|| place.scratch("answers")).transpose()?;
    let keep = |tests: &mut Command| {
        if let Some(answers) = &answers {
            tests.env(ANSWERS, answers);
        }
        run(homes.keep(tests))
    };
    let compare = |steps: &mut Steps| {
        if let Some(answers) = &answers {
            steps.step(PUBLISHED, || sdk::compare(place, answers));
        }
    };
    let (rounds, others) = match extent {
        Extent::Fast => ("2", "2"),
        Extent::Full => ("20", "8"),
    };
    let prepare = |mut command: Command| {
        command.env("BATON_KILL_ROUNDS", rounds);
        command.env("BATON_KILL_COMMITS", others).env("BATON_KILL_STOPS", others);
        if extent == Extent::Full {
            command.env("BATON_DOCS_PYTHON", place.tools().join("python-b/bin/python"));
        }
        if let Some(postgres) = postgres {
            command.env("TEST_DATABASE_URL", &postgres.url);
        }
        command
    };
    if on_path("cargo-nextest").is_none() {
        steps.step("Rust tests (cargo test; cargo-nextest is not installed)", || {
            let mut tests = prepare(place.cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]));
            keep(&mut tests)
        });
        compare(steps);
        steps.step(REPLAY, || homes.replay(place));
        return Ok(());
    }
    let tests = |filter: &str, more: &[&str]| prepare(nextest(place, filter, more));
    let nextest = |filter: &str, more: &[&str]| run(&mut tests(filter, more));
    let units = format!("all() - ({STORES}) - ({BLACK_BOX}) - ({KILL}) - ({OUTAGE})");
    steps.step("unit tests", || nextest(&units, &[]));
    steps.step("tests in the documentation", || {
        run(&mut prepare(place.cargo(&["test", "--workspace", "--locked", "--doc", "--quiet"])))
    });
    steps.step("conformance of both stores", || nextest(STORES, &[]));
    steps.step("black-box tests", || keep(&mut tests(BLACK_BOX, &[])));
    compare(steps);
    steps.step(REPLAY, || homes.replay(place));
    steps.step(&format!("kill -9 under load, {rounds} rounds"), || nextest(KILL, &["--no-capture"]));
    Ok(())
}

/// A run of chosen tests by nextest.
fn nextest(place: &Place, filter: &str, more: &[&str]) -> Command {
    let arguments =
        ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--no-tests=pass", "-E", filter];
    place.cargo(&[&arguments, more].concat())
}

/// The black-box tests and the replay of their decisions alone.
pub(crate) fn replay(place: &Place) -> anyhow::Result<()> {
    let homes = Homes::make(place)?;
    let mut tests = if on_path("cargo-nextest").is_some() {
        nextest(place, "package(baton) & binary(blackbox)", &[])
    } else {
        place.cargo(&["test", "--workspace", "--locked", "--test", "blackbox"])
    };
    // What a test that failed left behind is replayed all the same.
    let tested = run(homes.keep(&mut tests));
    homes.replay(place)?;
    tested
}

/// The kill test alone: so many kills at random moments, a quarter as many around a commit, half as
/// many stops in order.
pub(crate) fn kill(place: &Place, rounds: u32) -> anyhow::Result<()> {
    let postgres = Postgres::find_or_start(place)?;
    let mut command = place.cargo(&["test", "--workspace", "--test", "kill", "--", "--nocapture"]);
    run(command
        .env("BATON_KILL_ROUNDS", rounds.to_string())
        .env("BATON_KILL_COMMITS", rounds.div_ceil(4).to_string())
        .env("BATON_KILL_STOPS", rounds.div_ceil(2).to_string())
        .env("BATON_KILL_ANSWERS", "700")
        .env("TEST_DATABASE_URL", &postgres.url))
}
