//! Measures a translation: an OpenAI client before an Anthropic upstream, and the other way round.
//!
//! The bare proxy translates nothing: it is the floor that a plain chat is compared with. Beside the CPU time of
//! whole requests stands what translating one event of a stream takes, in instructions, which are the same on a busy
//! machine.
//!
//! - **Invariant:** a table is printed only when every request was answered.

use anyhow::Context;

use super::{BARE, Child, Load, Place, Subject, build, drive, drive_with, pinned, print, setup};
use crate::child::free_port;
use crate::plan_bench::{Kept, Part, Program, count};

/// As many as the driver of a saturated gateway has.
const CONNECTIONS: &str = "64";

/// A model of each vendor's dialect.
const OPENAI: [&str; 1] = ["oai/fake"];
const ANTHROPIC: [&str; 1] = ["ant/fake"];

/// What the issue allows for one request.
const BAR_CPU_US: u32 = 70;

/// What translating takes, part by part.
const TRANSLATION: Program = Program {
    package: "baton-dialect",
    example: "translate_cost",
    kept: "crates/baton-dialect/benches/translate.json",
    parts: &[
        Part { mode: "stream-messages-chat", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "stream-chat-messages", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "stream-messages-responses", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "stream-chat-responses", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "stream-responses-chat", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "stream-responses-messages", rounds: 20_000, bar_nanos: Some(EVENT_NANOS) },
        Part { mode: "request-chat-messages", rounds: 5_000, bar_nanos: None },
        Part { mode: "request-messages-chat", rounds: 5_000, bar_nanos: None },
        Part { mode: "answer-messages-chat", rounds: 5_000, bar_nanos: None },
        Part { mode: "answer-chat-messages", rounds: 5_000, bar_nanos: None },
    ],
};

/// What the issue allows for one event.
const EVENT_NANOS: u64 = 6_000;

/// Measures whole answers and streams, prints a table for each, and counts the instructions of translating.
pub(crate) fn claude(place: &Place, secs: u32, kept: Kept) -> anyhow::Result<()> {
    build(place)?;
    for (name, stream) in [("whole answers", false), ("streams of 20 in a burst", true)] {
        measure(place, name, &Load { connections: CONNECTIONS, secs, stream }).context(name)?;
    }
    println!("\ntranslating, one event, request or answer at a time");
    count(place, &TRANSLATION, kept)
}

fn measure(place: &Place, name: &str, load: &Load<'_>) -> anyhow::Result<()> {
    let folder = place.scratch("bench")?;
    let mut command = pinned(place, "0", "fake-upstream");
    command.args(["--instant", "--chunks", "20", "--listen"]);
    let (_upstream, upstream) =
        Child::start_listening("fake-upstream", command.arg(free_port()?.to_string()))?;
    let mut rows = Vec::new();
    {
        let mut bare = pinned(place, "1", "bare-proxy");
        bare.args(["--upstream", &upstream.to_string(), "--record"]);
        let (child, address) = Child::start_listening("bare-proxy", bare.arg(folder.join("bare.jsonl")))?;
        let subject = Subject { address, pid: Some(child.id()), models: &["fake"], key: "none" };
        rows.push((BARE, drive(place, load, &subject)?));
    }
    let setup = setup(place, upstream, None)?;
    let gateway = setup.start()?;
    let key = &setup.make_key()?;
    let subject = |models| Subject { address: gateway.address, pid: Some(gateway.child.id()), models, key };
    let messages: &[&str] = &["--path", "/v1/messages"];
    let chat: &[&str] = &[];
    for (row, models, path) in [
        ("chat to chat", &OPENAI, chat),
        ("chat to messages", &ANTHROPIC, chat),
        ("messages to messages", &ANTHROPIC, messages),
        ("messages to chat", &OPENAI, messages),
    ] {
        rows.push((row, drive_with(place, load, &subject(models), path)?));
    }
    print(&format!("{name}, {CONNECTIONS} connections (bar: {BAR_CPU_US} µs of CPU a request)"), &rows);
    Ok(())
}
