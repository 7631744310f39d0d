//! Serves a fake upstream from the command line: OpenAI's and Anthropic's formats on one port.

#![expect(clippy::print_stdout, reason = "the line with the address is the interface of this program")]

use std::net::SocketAddr;
use std::time::Duration;

use baton_testkit::fake::{FakeUpstream, Pace, Script, serve_instant};
use clap::Parser;

/// A fake upstream. Model names that begin with `fake` answer, `fault-…` fail.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Milliseconds before each answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Content chunks of a stream.
    #[arg(long, default_value_t = 6)]
    chunks: usize,
    /// Milliseconds between two chunks.
    #[arg(long, default_value_t = 0)]
    interval_ms: u64,
    /// Serve a model of this name too.
    #[arg(long)]
    model: Vec<String>,
    /// Accept this credential only.
    #[arg(long)]
    key: Option<String>,
    /// Take steps at `POST /__script`, and tell what was seen at `GET /__seen`.
    #[arg(long, conflicts_with = "instant")]
    control: bool,
    /// Take messages in a row that are of one role in Anthropic's format, as Anthropic does.
    #[arg(long, conflicts_with = "instant")]
    join_turns: bool,
    /// Check and record nothing, and answer with bytes rendered before: for benchmarks.
    #[arg(long)]
    instant: bool,
    /// Let a model call a tool whatever it is asked, as `MODEL=TOOL`.
    #[arg(long, requires = "instant", value_parser = caller)]
    calls: Vec<(String, String)>,
}

fn caller(text: &str) -> Result<(String, String), &'static str> {
    let (model, tool) = text.split_once('=').ok_or("`MODEL=TOOL` is wanted")?;
    Ok((model.to_owned(), tool.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pace = Pace {
        latency: Duration::from_millis(args.latency_ms),
        chunks: args.chunks,
        interval: Duration::from_millis(args.interval_ms),
    };
    if args.instant {
        println!("listening on {}", args.listen);
        return Ok(serve_instant(args.listen, pace, &args.calls).await?);
    }
    let mut script = Script::default().pace(pace);
    for model in &args.model {
        script = script.model(model);
    }
    if let Some(key) = &args.key {
        script = script.key(key);
    }
    if args.control {
        script = script.controlled();
    }
    if args.join_turns {
        script = script.joining_turns();
    }
    let fake = FakeUpstream::start_at(args.listen, script).await?;
    println!("listening on {}", fake.address());
    std::future::pending::<()>().await;
    Ok(())
}
