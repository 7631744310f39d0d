//! Every conversation from every client's dialect to every provider's, whole and streamed.
//!
//! A conversation is written down once, in no dialect (`fixtures/conversations`). What a dialect's client would send,
//! how its provider reads that and answers, and what its SDK makes of the answer is written in one folder for each
//! dialect, from the vendor's documentation and the SDK's code. Baton stands in between. What arrives is compared
//! with what was meant, and `docs/fidelity.md` is written of what was found.
//!
//! - A new dialect joins with a folder and a line in `speaker.rs`.
//! - **Invariant:** only what is in the table of losses is lost, and only where the dialect cannot say it.
//! - **Invariant:** a streamed answer, put together as the SDK does it, is the whole answer.

mod anthropic_messages;
mod conversation;
mod facet;
mod openai_chat;
mod openai_responses;
mod page;
mod run;
mod speaker;

use std::path::{Path, PathBuf};

use baton_model::Dialect;

use crate::{Feature, LOSSES};
use page::page;
use run::run;
use speaker::speaker;

#[test]
fn nothing_is_lost_but_what_is_declared() {
    let run = run();
    assert!(run.conversations >= 60, "{} conversations", run.conversations);
    assert!(run.problems.is_empty(), "{} problems:\n{}", run.problems.len(), run.problems.join("\n"));
}

#[test]
fn every_declared_loss_is_seen() {
    let run = run();
    let unseen: Vec<String> = LOSSES
        .iter()
        .filter(|loss| !run.seen.contains(*loss))
        .map(|loss| format!("{} of {}: {}", loss.feature.title(), loss.target, loss.why))
        .collect();
    assert!(unseen.is_empty(), "nothing in the suite shows:\n{}", unseen.join("\n"));
}

#[test]
fn what_is_said_and_done_is_in_no_row_of_the_table() {
    use Feature as F;
    let never = [
        F::SystemText,
        F::LaterInstruction,
        F::UserText,
        F::AssistantText,
        F::PastCall,
        F::Result,
        F::FailedResult,
        F::Tool,
        F::ToolSchema,
        F::JsonSchema,
        F::Text,
        F::Refusal,
        F::Call,
        F::Finish,
        F::Usage,
        F::CachedUsage,
        F::ReasoningUsage,
        F::Fault,
    ];
    for loss in LOSSES {
        assert!(!never.contains(&loss.feature), "{} of {}", loss.feature.title(), loss.target);
        assert!(loss.see.starts_with("https://"), "{}", loss.see);
    }
}

/// `cargo xtask matrix` says where the document goes; without it the kept one must be the same.
#[test]
fn the_published_matrix_is_what_the_run_finds() {
    let found = page(run());
    if let Some(out) = option_env_at_run("BATON_MATRIX_OUT") {
        return write(Path::new(&out), &found);
    }
    let kept = String::from_utf8(super::fixtures::load(&published())).unwrap();
    let line = kept.lines().zip(found.lines()).find(|(kept, found)| kept != found);
    assert!(kept == found, "docs/fidelity.md has drifted, run `cargo xtask matrix`: {line:?}");
}

fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md")
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the crate, its tests are told where to write")]
fn option_env_at_run(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the crate, the document is a file")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// The pairs in the order of the columns: client, then provider.
fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    Dialect::ALL.into_iter().flat_map(|client| Dialect::ALL.into_iter().map(move |target| (client, target)))
}
