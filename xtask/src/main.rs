//! Runs the project's chores: tests, layer rule, benchmark, documents.
//!
//! `cargo xtask test` is the one command that proves a change. It builds, brings what the tests
//! need, runs every suite, and closes with one line for each step.
//!
//! - Start with [`Task`].
//! - **Invariant:** under `CI=true` nothing is skipped; elsewhere a skip is said.
//! - **Never here:** crates of the gateway; this program builds and runs them.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its terminal")]

mod bench;
mod child;
mod conform;
mod gateway;
mod layers;
mod openapi;
mod place;
mod postgres;
mod sdk;
mod steps;
mod suite;
mod tools;

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
    /// Kill the gateway under load, again and again, and look for losses.
    Kill {
        /// How often.
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// Run the unmodified SDKs against the fake upstream and against the gateway.
    Sdk {
        /// Against the fake upstream only.
        #[arg(long)]
        direct: bool,
    },
    /// Run the public conformance suite against the gateway.
    Conform,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Chat completions: fake upstream, bare proxy and gateway in one run.
    Chat {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        secs: u32,
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
        Task::Bench { what: Bench::Chat { secs } } => bench::chat(&place, *secs),
        Task::Openapi { check: true } => openapi::check(&place),
        Task::Openapi { check: false } => openapi::write(&place),
        Task::Kill { rounds } => suite::kill(&place, *rounds),
        Task::Sdk { direct } => sdk::run(&place, !direct),
        Task::Conform => conform::run(&place),
    }
}
