//! Runs the project's chores: tests, layer rule, benchmark, documents.
//!
//! `cargo xtask test` is the one command that proves a change. It builds, brings what the tests
//! need, runs every suite, and closes with one line for each step.
//!
//! - Start with [`Task`].
//! - **Invariant:** under `CI=true` nothing is skipped; elsewhere a skip is said.
//! - **Never here:** crates of the gateway, which this program builds and runs; only training and
//!   measuring the scorer use it as it is.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its terminal")]

mod bench;
mod child;
mod conform;
mod evidence;
mod gateway;
mod idle;
mod layers;
mod lessons;
mod matrix;
mod mcp;
mod openapi;
mod outage;
mod place;
mod plan_bench;
mod postgres;
mod replay;
mod routing;
mod runs;
mod sdk;
mod steps;
mod suite;
mod synced;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use place::Place;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build and run every test: unit, both stores, black box, real SDKs, conformance.
    Test {
        /// In the dev profile, without SDKs, conformance and the long rounds of the kill test.
        #[arg(long)]
        fast: bool,
    },
    /// Check the layers of the crates, bans and licences.
    Layers,
    /// Measure the gateway beside a bare proxy.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Write `openapi/openapi.json`.
    Openapi {
        /// Compare only, and fail on a difference.
        #[arg(long)]
        check: bool,
    },
    /// Write `docs/fidelity.md`: what translations between dialects keep.
    Matrix {
        /// Compare only, and fail on a difference.
        #[arg(long)]
        check: bool,
    },
    /// Kill the gateway under load, again and again, and look for losses.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// Carry background runs out by two gateways on one Postgres, kill them again and again, and look for what is
    /// lost or done twice.
    RunsKill {
        /// How often.
        #[arg(long, default_value_t = 100)]
        kills: u32,
        /// Over how many runs.
        #[arg(long, default_value_t = 200)]
        runs: u32,
    },
    /// Have models spend as much as they can, and hold it against the budgets of their runs.
    RunsBudget {
        /// How many runs.
        #[arg(long, default_value_t = 10_000)]
        scripts: u32,
    },
    /// Take the store and the disk away under load, and look for losses.
    Outage {
        /// Seconds of each outage.
        #[arg(long, default_value_t = 60)]
        secs: u32,
    },
    /// Change the audit log in every way, again and again, and look whether it is found.
    Tamper {
        /// How many cases of each kind.
        #[arg(long, default_value_t = 1_000)]
        cases: u64,
    },
    /// Send secrets in every form through a gateway that captures content, and look for them everywhere.
    Redaction {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        secrets: u64,
    },
    /// Have captured texts erased, and look for them everywhere.
    Erase {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        texts: u64,
    },
    /// Damage a journal at every byte of its end and at random bits, and look what it starts with.
    Torn {
        /// How many bits.
        #[arg(long, default_value_t = 1_000)]
        flips: u64,
    },
    /// Run the black-box tests, and derive every decision that they made again.
    Replay,
    /// Watch the system calls of the gateway: every answer waits for its decision to be on the disk.
    Synced {
        /// How many answers.
        #[arg(long, default_value_t = 1000)]
        answers: u32,
    },
    /// Run the unmodified SDKs against the fake upstream and against the gateway.
    Sdk {
        /// Against the fake upstream only.
        #[arg(long)]
        direct: bool,
        /// Also those that `cargo xtask test` leaves out, because of what they install.
        #[arg(long, conflicts_with = "direct")]
        all: bool,
    },
    /// Run the checks of the MCP client against servers of the official SDKs.
    Mcp,
    /// Run the public conformance suite against the gateway.
    Conform,
    /// Train the scorer that `auto` ships with, and write its file.
    RoutingTrain {
        /// A folder of outcomes, as .jsonl or .jsonl.gz.
        #[arg(long, required_unless_present = "from_audit")]
        data: Option<PathBuf>,
        /// Learn from what was said of decisions, too: the configuration of the gateway whose audit log has it.
        #[arg(long, value_name = "BATON.YAML", requires = "out")]
        from_audit: Option<PathBuf>,
        /// Where to write it, if not where the shipped file stands.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Compare only, and fail on a difference.
        #[arg(long)]
        check: bool,
    },
    /// Measure how well requests are routed, on files of outcomes.
    RoutingEval {
        /// A file of outcomes, as .jsonl or .jsonl.gz; several count as one.
        #[arg(long, required = true)]
        data: Vec<PathBuf>,
        /// The models to choose from, if not all that have a price and nearly all outcomes.
        #[arg(long, value_delimiter = ',')]
        models: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Chat completions: fake upstream, bare proxy and gateway in one run.
    Chat {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        secs: u32,
        /// Measure the gateway on Postgres as well.
        #[arg(long)]
        postgres: bool,
    },
    /// What a durable record costs, beside a build without records.
    Audit {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 4)]
        secs: u32,
        /// How often both builds take turns.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
    },
    /// Hand-offs: one request that two models carry, beside a bare proxy that makes the same two calls.
    Handoff {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        secs: u32,
    },
    /// Translations: an OpenAI client before an Anthropic upstream and the other way round, and what one event takes.
    Claude {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        secs: u32,
        /// Fail when a translation takes more than 3 % more instructions than are kept.
        #[arg(long, conflicts_with = "keep")]
        check: bool,
        /// Keep the counts of this run.
        #[arg(long)]
        keep: bool,
    },
    /// A store full of decisions: the first page of every question, usage and hand-overs of a month, and
    /// the bytes of a decision, while more arrive.
    History {
        /// How many decisions; SQLite gets a million at most.
        #[arg(long, default_value_t = 50_000)]
        rows: u64,
        /// Fail when a figure is beyond its bar.
        #[arg(long)]
        check: bool,
    },
    /// A gateway at rest, with an empty folder and no keys: when it is ready, and its memory.
    Idle {
        /// How often it is started.
        #[arg(long, default_value_t = 5)]
        starts: u32,
    },
    /// A workflow whose branches are answered side by side: how long its caller waits.
    Branches {
        /// How many workflows.
        #[arg(long, default_value_t = 10)]
        rounds: u32,
        /// Measure the build of the dev profile.
        #[arg(long)]
        dev: bool,
        /// Fail when three branches of 500 ms take 700 ms.
        #[arg(long)]
        check: bool,
    },
    /// Background runs that wait: what they cost in memory.
    Runs {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        runs: u32,
        /// Measure the build of the dev profile.
        #[arg(long)]
        dev: bool,
        /// Fail when they cost more than 20 MB.
        #[arg(long)]
        check: bool,
    },
    /// Checking the audit log: records in a second, on one core.
    Verify {
        /// How many records.
        #[arg(long, default_value_t = 2_000_000)]
        entries: u64,
    },
    /// A start with a journal that waits for the store: how long it takes.
    Restart {
        /// How many bytes wait.
        #[arg(long, default_value_t = 1 << 30)]
        bytes: u64,
    },
    /// What deciding costs: instructions of a plan, of its rules, of reading a request.
    Plan {
        /// Fail when a part takes more than 3 % more instructions than are kept.
        #[arg(long, conflicts_with = "keep")]
        check: bool,
        /// Keep the counts of this run.
        #[arg(long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<()> {
    let place = Place::find()?;
    match task {
        Task::Test { fast } => {
            suite::test(&place, if *fast { suite::Extent::Fast } else { suite::Extent::Full })
        }
        Task::Layers => layers::check(&place),
        Task::Bench { what: Bench::Chat { secs, postgres } } => bench::chat(&place, *secs, *postgres),
        Task::Bench { what: Bench::Audit { secs, rounds } } => bench::audit(&place, *secs, *rounds),
        Task::Bench { what: Bench::Handoff { secs } } => bench::handoff(&place, *secs),
        Task::Bench { what: Bench::History { rows, check } } => bench::history(&place, *rows, *check),
        Task::Bench { what: Bench::Idle { starts } } => idle::idle(&place, *starts),
        Task::Bench { what: Bench::Branches { rounds, dev, check } } => {
            let profile = if *dev { place::Profile::Dev } else { place::Profile::Release };
            bench::branches(&place, *rounds, profile, *check)
        }
        Task::Bench { what: Bench::Runs { runs, dev, check } } => {
            let profile = if *dev { place::Profile::Dev } else { place::Profile::Release };
            bench::runs(&place, *runs, profile, *check)
        }
        Task::Bench { what: Bench::Verify { entries } } => evidence::verify(&place, *entries),
        Task::Bench { what: Bench::Restart { bytes } } => evidence::restart(&place, *bytes),
        Task::Bench { what: Bench::Plan { check, keep } } => {
            plan_bench::plan(&place, plan_bench::Kept::of(*check, *keep))
        }
        Task::Bench { what: Bench::Claude { secs, check, keep } } => {
            bench::claude(&place, *secs, plan_bench::Kept::of(*check, *keep))
        }
        Task::Openapi { check: true } => openapi::check(&place),
        Task::Openapi { check: false } => openapi::write(&place),
        Task::Matrix { check: true } => matrix::check(&place),
        Task::Matrix { check: false } => matrix::write(&place),
        Task::Kill { rounds } => suite::kill(&place, *rounds),
        Task::RunsKill { kills, runs } => runs::kill(&place, *kills, *runs),
        Task::RunsBudget { scripts } => runs::budget(&place, *scripts),
        Task::Outage { secs } => outage::outage(&place, *secs),
        Task::Tamper { cases } => evidence::tamper(&place, *cases),
        Task::Redaction { secrets } => evidence::redaction(&place, *secrets),
        Task::Erase { texts } => evidence::erase(&place, *texts),
        Task::Torn { flips } => evidence::torn(&place, *flips),
        Task::Replay => suite::replay(&place),
        Task::Synced { answers } => match synced::synced(&place, *answers)? {
            steps::Went::Through => Ok(()),
            steps::Went::Skipped(why) => anyhow::bail!(why),
        },
        Task::Sdk { direct, all } => {
            let which = match (direct, all) {
                (true, _) => sdk::Which::Direct,
                (false, false) => sdk::Which::Ordinary,
                (false, true) => sdk::Which::All,
            };
            sdk::run(&place, which)
        }
        Task::Mcp => mcp::check(&place),
        Task::Conform => conform::run(&place),
        Task::RoutingTrain { data, from_audit, out, check } => {
            let shipped = place.root.join(routing::SHIPPED);
            let out = out.as_ref().unwrap_or(&shipped);
            let lessons = from_audit.as_ref().map(|config| lessons::told(&place, config)).transpose()?;
            let from = routing::Sources { data: data.as_deref(), lessons: lessons.as_deref() };
            if *check { routing::check(from, out) } else { routing::train(from, out) }
        }
        Task::RoutingEval { data, models } => routing::eval(data, models),
    }
}
