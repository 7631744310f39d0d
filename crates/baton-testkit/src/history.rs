//! Makes a history: decisions and outcomes as a gateway with many callers writes them, in bulk.
//!
//! The records go through a real journal and a real relay, so that blocks, rows and sums are what a
//! store has in life. Everything about a record follows from its number: a history of the same length
//! is the same history.
//!
//! - Start with [`History::write`].
//! - **Never here:** what is measured on it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use baton_audit::{
    AuditStore, CheckpointSigner, Clock, Journal, JournalOptions, Record, Relay, RelayOptions,
};
use baton_model::{DecisionId, RequestId, RunId};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// The callers; the first ones ask the most.
pub const PRINCIPALS: u64 = 40;
/// The models, with the share of requests that each gets, in thousandths.
pub const MODELS: [(&str, u64); 10] = [
    ("openai/gpt-4o-mini", 380),
    ("anthropic/claude-sonnet-4-5", 250),
    ("openai/gpt-4.1", 120),
    ("gemini/gemini-2.5-flash", 100),
    ("anthropic/claude-haiku-4-5", 80),
    ("local/llama-3.3-70b", 40),
    ("openai/o4-mini", 20),
    ("gemini/gemini-2.5-pro", 7),
    ("mistral/mistral-large", 2),
    ("local/experimental", 1),
];

/// Outcomes come among the decisions as where 500 are made in a second: some thousand later.
const APART_US: u64 = 2_000;
/// So many bytes may wait for the store.
const BACKLOG: u64 = 256 << 20;
const DRAIN: Duration = Duration::from_secs(600);

/// A clock that shows the time of the history.
#[derive(Clone, Debug, Default)]
struct HistoryClock(Arc<AtomicU64>);

impl Clock for HistoryClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A journal and a relay into a store, in the time of the history.
pub struct History {
    journal: Arc<Journal>,
    relay: Arc<Relay>,
    /// The relay at work; it ends with the history.
    _moving: JoinSet<()>,
    clock: HistoryClock,
    next: u64,
    /// Attempts under way, with their times, by the number of the decision before which each ends.
    running: BTreeMap<(u64, u64), u64>,
    _dir: TempDir,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("next", &self.next).finish_non_exhaustive()
    }
}

impl History {
    /// A history that begins with this number at this time.
    ///
    /// # Errors
    /// When the journal cannot be made.
    pub fn begin(store: Arc<dyn AuditStore>, first: u64, at_ms: u64) -> anyhow::Result<Self> {
        let dir = TempDir::new().context("making a folder for the journal")?;
        let clock = HistoryClock::default();
        clock.0.store(at_ms, Ordering::Relaxed);
        let signer = CheckpointSigner::from_seed(&[7; 32])?;
        let options = JournalOptions {
            segment_bytes: 64 << 20,
            clock: Arc::new(clock.clone()),
            ..JournalOptions::new(dir.path(), signer, "history")
        };
        let (journal, _) = Journal::open(options)?;
        let journal = Arc::new(journal);
        let relay = Arc::new(Relay::new(Arc::clone(&journal), store, RelayOptions::STANDARD));
        let mut moving = JoinSet::new();
        let moves = Arc::clone(&relay);
        moving.spawn(async move { moves.run(std::future::pending()).await });
        Ok(Self { journal, relay, _moving: moving, clock, next: first, running: BTreeMap::new(), _dir: dir })
    }

    /// Writes so many decisions between these times. They reach the store while more are written, which
    /// waits for a store that is far behind.
    ///
    /// # Errors
    /// When the journal or the store does not take them.
    pub async fn write(&mut self, count: u64, from_ms: u64, to_ms: u64) -> anyhow::Result<()> {
        let first = self.next;
        let time = |number: u64| from_ms + (number - first) * (to_ms - from_ms) / count.max(1);
        for number in first..first + count {
            let at_ms = time(number);
            self.clock.0.store(at_ms, Ordering::Relaxed);
            while let Some(ended) = self.running.first_entry().filter(|ended| ended.key().0 <= number) {
                let ((_, number), at_ms) = ended.remove_entry();
                if let Some(outcome) = outcome(number, at_ms)? {
                    self.journal.append(&outcome)?;
                }
            }
            self.journal.append(&decision(number, at_ms, time(number.saturating_sub(1).max(first)))?)?;
            self.running.insert((number + 1 + total_us(number) / APART_US, number), at_ms);
        }
        self.next = first + count;
        self.journal.checkpoint().await?;
        if self.journal.health().used_bytes > BACKLOG {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits until the store has everything.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn settle(&self) -> anyhow::Result<()> {
        ensure!(self.relay.drain(DRAIN).await, "the store took too long");
        Ok(())
    }
}

/// A number that looks thrown, for a place in a history and a purpose.
fn dice(number: u64, purpose: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn random(number: u64, purpose: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    let parts =
        dice(number, purpose).to_le_bytes().into_iter().chain(dice(number, purpose + 1).to_le_bytes());
    bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    bytes
}

/// The id of a decision of a history.
fn id(number: u64, at_ms: u64) -> DecisionId {
    DecisionId::from_parts(at_ms, random(number, 1))
}

/// A caller: the second half of them together asks one request in ten.
#[must_use]
pub fn principal(number: u64) -> String {
    let thrown = dice(number, 3);
    let caller =
        if thrown.is_multiple_of(10) { thrown / 10 % PRINCIPALS } else { thrown / 10 % (PRINCIPALS / 4) };
    format!("key_{:032x}", dice(caller, 4))
}

/// The session of a request.
#[must_use]
pub fn session(number: u64) -> Option<String> {
    (dice(number, 5) % 10 < 4).then(|| format!("session-{:x}", dice(number / 40, 6)))
}

fn model(number: u64, purpose: u64) -> &'static str {
    let mut thrown = dice(number, purpose) % 1_000;
    for (model, share) in MODELS {
        if thrown < share {
            return model;
        }
        thrown -= share;
    }
    "local/experimental"
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Select,
    Fallback,
    Retry,
    Handoff,
    Refuse,
}

fn kind(number: u64) -> Kind {
    match dice(number, 7) % 100 {
        0..5 => Kind::Fallback,
        5..8 => Kind::Retry,
        8..13 => Kind::Handoff,
        13 => Kind::Refuse,
        _ => Kind::Select,
    }
}

/// `before_ms` is the time of the one before it.
fn decision(number: u64, at_ms: u64, before_ms: u64) -> anyhow::Result<Record> {
    let kind = kind(number);
    let to = model(number, 8);
    let other = model(number, 9);
    let third = model(number, 10);
    let (word, code, source) = match kind {
        Kind::Select => match dice(number, 11) % 4 {
            0 => ("select", "only_model", "client"),
            1 => ("select", "first_in_order", "client"),
            2 => ("select", "cheapest", "policy"),
            _ => ("select", "chosen_by_rule", "rule"),
        },
        Kind::Fallback => ("fallback", "fallback_after_fault", "fault"),
        Kind::Retry => ("retry", "retry_after_fault", "fault"),
        Kind::Handoff => ("handoff", "handed_over", "model"),
        Kind::Refuse => ("refuse", "exhausted", "policy"),
    };
    let is_first = kind == Kind::Select;
    let run = if is_first { number } else { number.saturating_sub(1) };
    let requested = match dice(run, 12) % 10 {
        0..3 => vec!["smart"],
        3..5 => vec![to, other],
        5 => vec!["baton/auto"],
        _ => vec![to],
    };
    let policy = ["default", "frugal", "smart"].get(usize::try_from(dice(run, 13) % 3)?).copied();
    // A version is in force for some thirty days.
    let version = format!("{:016x}", dice(at_ms / 2_592_000_000, 14));
    let mut record = serde_json::json!({
        "record": "decision",
        "id": id(number, at_ms),
        "run": RunId::from_parts(if is_first { at_ms } else { before_ms }, random(run, 15)),
        "request": RequestId::from_parts(at_ms, random(number, 17)),
        "at_ms": at_ms,
        "turn": 1,
        "hop": if kind == Kind::Handoff { 2 + dice(number, 19) % 64 / 20 } else { 1 },
        "kind": word,
        "principal": principal(number),
        "surface": "/v1/chat/completions",
        "requested": requested,
        "attempt": kind != Kind::Refuse,
        "reason": { "code": code, "text": format!("{to} is chosen by rule `prose`"), "source": source },
        "planner": 2,
        "config": "443a57d49b36782e",
    });
    let members = record.as_object_mut().context("a record is an object")?;
    if kind != Kind::Refuse {
        members.extend([("to".to_owned(), to.into()), ("to_model".to_owned(), to.into())]);
    }
    if !is_first {
        members.extend([("from".to_owned(), other.into())]);
        members.extend([("parent".to_owned(), id(run, before_ms).to_string().into())]);
    } else {
        members.insert(
            "inputs".to_owned(),
            serde_json::json!({
                "policy": { "name": policy, "version": version },
                "knowledge": "417d6e2cc7aecb82",
                "features": { "input_tokens": dice(number, 20) % 4_000, "max_output_tokens": 1_024, "messages": 5, "stream": true,
                    "task": { "kind": "chat", "confidence": 791, "complexity": "simple", "evidence": ["words_read 1"], "code": 0, "math": 0 } },
                "candidates": [
                    { "model": to, "target": to },
                    { "model": other, "target": other, "health": { "down": { "why": "cooling", "for_ms": dice(number, 21) % 60_000 } } },
                    { "model": third, "target": third },
                ],
            }),
        );
        members.insert(
            "table".to_owned(),
            serde_json::json!([
                { "candidate": 0, "verdict": "selected" },
                { "candidate": 1, "verdict": "rejected", "stage": "health", "code": "cooling_down", "observed": "9.993s left" },
                { "candidate": 2, "verdict": "eligible", "rank": 1 },
            ]),
        );
    }
    let mut labels = serde_json::Map::new();
    if let Some(session) = session(run) {
        labels.insert("session".to_owned(), session.into());
    }
    if dice(run, 22).is_multiple_of(10) {
        let tag = format!("team-{}", dice(run, 23) % 30);
        labels.insert("tags".to_owned(), vec![tag, "prod".to_owned()].into());
    }
    if !labels.is_empty() {
        members.insert("labels".to_owned(), labels.into());
    }
    read(&record)
}

/// The order of members is the journal's own.
fn read(record: &serde_json::Value) -> anyhow::Result<Record> {
    serde_json::from_value(record.clone()).context("a record of the history cannot be read")
}

/// How long an attempt takes.
fn total_us(number: u64) -> u64 {
    let thrown = dice(number, 31);
    if thrown.is_multiple_of(997) { 45_000_000 } else { 400_000 + thrown / 1_000 % 9_000_000 }
}

/// None for a decision without an attempt, and for one in a hundred thousand whose process died.
fn outcome(number: u64, at_ms: u64) -> anyhow::Result<Option<Record>> {
    if kind(number) == Kind::Refuse || dice(number, 30).is_multiple_of(100_000) {
        return Ok(None);
    }
    let thrown = dice(number, 31);
    let total_us = total_us(number);
    let mut record = serde_json::json!({
        "record": "outcome",
        "decision": id(number, at_ms),
        "at_ms": at_ms + total_us / 1_000,
        "total_us": total_us,
        "bytes": 900,
        "content_sent": true,
        "upstream_done": true,
    });
    let members = record.as_object_mut().context("a record is an object")?;
    let more = match dice(number, 32) % 200 {
        0..4 => serde_json::json!({ "status": "failed", "fault": "overloaded", "http_status": 529 }),
        4 => serde_json::json!({ "status": "failed", "fault": "timeout" }),
        5..8 => serde_json::json!({ "status": "client_cancelled", "http_status": 200 }),
        _ => serde_json::json!({
            "status": "ok", "http_status": 200, "finish": "stop",
            "usage": { "input_tokens": thrown % 4_000, "cached_input_tokens": thrown % 1_000, "cache_write_tokens": 0,
                "output_tokens": thrown % 700, "reasoning_tokens": 0 },
            "usage_source": "provider", "cost": if thrown.is_multiple_of(1_999) { 250_000_000 } else { thrown % 20_000_000 },
            "first_content_us": 150_000 + thrown % 900_000,
            "upstream_id": format!("chatcmpl-{:020x}", thrown), "upstream_model": model(number, 8),
        }),
    };
    members.extend(more.as_object().cloned().unwrap_or_default());
    read(&record).map(Some)
}
