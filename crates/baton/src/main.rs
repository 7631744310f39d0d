//! The `baton` program: the one place where all crates meet.
//!
//! - Start with [`cli::Cli`] for what can be said, and [`serve`] for what happens then.
//! - **Invariant:** secrets enter by environment, file or standard input, never as an argument.

use std::process::ExitCode;

use clap::Parser;

mod agents;
mod alerts;
mod audit;
mod checkpoints;
mod cli;
mod commands;
mod connect;
mod content;
mod control;
mod core;
mod doctor;
mod mcp;
mod models;
mod notices;
mod output;
mod plans;
mod retention;
mod runs;
mod serve;
mod settings;
mod signing;
mod status;
mod store;
mod stored;
mod telemetry;
mod versions;
mod webhooks;

fn main() -> ExitCode {
    // One TLS provider for the process; a second `main` does not exist, so this cannot fail.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        output::problem("the TLS provider was set before the program began");
    }
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
