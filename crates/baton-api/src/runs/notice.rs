//! What others are told of a run that has ended.
//!
//! News is short: which run, how it ended, what it used. What was said in it stays where it is, for its caller to
//! read; so nothing is lost with whoever takes the news, and it has one form whatever the run came to.
//!
//! - Start with [`run_news`].
//! - **Never here:** where news goes, and when it is tried again.

use std::fmt;

use baton_model::RunId;
use baton_state::runs::StoredRun;
use baton_state::{BoxFuture, StateError, Subject};
use serde_json::{Map, Value};

use super::shown;

/// Hears of background runs that end.
pub trait RunNotice: Send + Sync + fmt::Debug {
    /// A run is about to end: its end is written next. Whoever has this news to tell looks whether it was. Told
    /// twice, it counts once.
    fn ends<'a>(
        &'a self,
        run: RunId,
        principal: &'a str,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<(), StateError>>;
}

/// That a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNews {
    /// `run.` and the status.
    pub kind: String,
    /// What is told, as JSON.
    pub data: Vec<u8>,
}

/// What is told of a run.
const TOLD: [&str; 9] =
    ["id", "object", "status", "created_at", "ended_at", "metadata", "turns_consumed", "usage", "cost_usd"];

/// What is to be told of a run; none where it has not ended.
#[must_use]
pub fn run_news(stored: &StoredRun) -> Option<RunNews> {
    let status = stored.run.status;
    if !status.is_end() {
        return None;
    }
    let shown = shown::run(stored);
    let mut told: Map<String, Value> =
        TOLD.into_iter().filter_map(|member| Some((member.to_owned(), shown.get(member)?.clone()))).collect();
    // A message may repeat what was said.
    let code = shown.pointer("/error/code").cloned().unwrap_or_default();
    told.insert("error_code".to_owned(), code);
    Some(RunNews {
        kind: format!("run.{}", status.as_str()),
        data: Value::Object(told).to_string().into_bytes(),
    })
}
