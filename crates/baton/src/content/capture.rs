//! Takes what the engine hands in, redacts it, and has it sealed into the log, on a thread of its own.
//!
//! A request only puts its content into a queue. A full queue, a full journal, or a failed write leaves content
//! out; that is counted, and no answer waits for it or fails by it.
//!
//! - **Invariant:** nothing is written that was not redacted, and texts are put together before they are redacted.
//! - **Never here:** how content is sealed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use baton_access::KeyRing;
use baton_audit::{ContentPart, OutcomeStatus, Redactor};
use baton_config::CaptureSettings;
use baton_engine::{Answered, Ask, Bounds, Capture, Captured, Room, SaidContent};
use baton_model::{Part, PartKind};
use baton_state::Subject;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Contents;

/// As many pieces may wait.
const QUEUE: usize = 4_096;
/// As many bytes may be held by all that is under way and waits.
const ROOM: usize = 64 << 20;
/// A stream says a text in so many times as many bytes, where its pieces are short.
const FRAMING: usize = 32;
/// How often it is told that content is left out.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// At the end of what was cut, as many words may be a piece of something that would have been redacted.
const TAIL: usize = 8;
const TAIL_BYTES: usize = 160;

/// Captures content, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Capturing {
    settings: CaptureSettings,
    room: Arc<Room>,
    queue: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Content(Box<Captured>),
    /// Everything before it was dealt with.
    Flushed(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl Capturing {
    pub(super) fn start(settings: &CaptureSettings, contents: Arc<Contents>) -> anyhow::Result<Arc<Self>> {
        let redactor = Redactor::new(&settings.redact, &settings.patterns)?;
        let (queue, pieces) = sync_channel(QUEUE);
        let left_out = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            redactor,
            most: usize::try_from(settings.max_bytes).unwrap_or(usize::MAX),
            // They have each other; the one who puts both together holds them.
            contents: Arc::downgrade(&contents),
            left_out: Arc::clone(&left_out),
            told: None,
        };
        drop(contents);
        let thread =
            std::thread::Builder::new().name("content".to_owned()).spawn(move || worker.run(&pieces));
        let thread = Mutex::new(Some(thread.context("cannot start the thread that captures content")?));
        Ok(Arc::new(Self {
            settings: settings.clone(),
            room: Arc::new(Room::new(ROOM)),
            queue,
            left_out,
            thread,
        }))
    }

    /// Waits until everything that was handed in before was written or left out.
    pub(super) async fn flush(&self) {
        let (done, waits) = oneshot::channel();
        self.send(Message::Flushed(done)).await;
        drop(waits.await);
    }

    pub(super) async fn stop(&self, within: Duration) {
        let (done, waits) = oneshot::channel();
        let stopped = async {
            self.send(Message::Stop(done)).await;
            drop(waits.await);
        };
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if tokio::time::timeout(within, stopped).await.is_ok() {
            drop(thread.map(JoinHandle::join));
        } else {
            tracing::warn!("captured content was left out at the end: it was not written in time");
        }
    }

    /// The queue is of threads: a task must not wait in it.
    async fn send(&self, message: Message) {
        let queue = self.queue.clone();
        drop(tokio::task::spawn_blocking(move || queue.send(message)).await);
    }

    fn is_wanted(&self, ask: &Ask, policy: &str) -> bool {
        let CaptureSettings { keys, routes, policies, .. } = &self.settings;
        if keys.is_empty() && routes.is_empty() && policies.is_empty() {
            return true;
        }
        keys.contains(&ask.caller.principal)
            || ask.models.names.iter().any(|name| routes.contains(name))
            || policies.iter().any(|name| name == policy)
    }
}

impl Capture for Capturing {
    fn wants(&self, ask: &Ask, policy: &str) -> Option<Bounds> {
        let most = usize::try_from(self.settings.max_bytes).unwrap_or(usize::MAX).saturating_mul(FRAMING);
        self.is_wanted(ask, policy).then(|| Bounds { most, room: Arc::clone(&self.room) })
    }

    fn take(&self, captured: Captured) {
        if self.queue.try_send(Message::Content(Box::new(captured))).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Worker {
    redactor: Redactor,
    most: usize,
    contents: Weak<Contents>,
    left_out: Arc<AtomicU64>,
    told: Option<(Instant, u64)>,
}

impl Worker {
    fn run(mut self, pieces: &Receiver<Message>) {
        for piece in pieces {
            match piece {
                Message::Content(captured) => {
                    if let Err(error) = self.write(&captured) {
                        self.left_out.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(error = format!("{error:#}"), "content was left out");
                    }
                }
                Message::Flushed(done) => {
                    done.send(()).ok();
                }
                Message::Stop(done) => {
                    done.send(()).ok();
                    return;
                }
            }
            self.tell();
        }
    }

    fn write(&self, captured: &Captured) -> anyhow::Result<()> {
        let contents = self.contents.upgrade().context("the gateway stops")?;
        let (part, document) = match &captured.said {
            SaidContent::Request => (ContentPart::Request, self.request(&captured.ask)),
            SaidContent::Answer(answered) => (ContentPart::Answer, self.answer(answered)),
        };
        let plain = serde_json::to_vec(&document)?;
        contents.write(captured.decision, part, &subject(&captured.ask), &plain)
    }

    /// The body as the client sent it, redacted; of one that is too large, the beginning as a text.
    fn request(&self, ask: &Ask) -> Value {
        let body = serde_json::from_slice::<Value>(ask.body.body());
        let mut body = body.unwrap_or(Value::Null);
        self.redactor.json(&mut body);
        let text = body.to_string();
        if text.len() > self.most {
            let cut = text.get(..text.floor_char_boundary(self.most)).unwrap_or_default();
            return json!({"surface": ask.surface, "cut": true, "text": cut});
        }
        json!({"surface": ask.surface, "cut": false, "body": body})
    }

    /// What was answered, part by part, as far as it came.
    fn answer(&self, answered: &Answered) -> Value {
        let mut parts = answered.parts();
        let is_partial = answered.cut || answered.status != OutcomeStatus::Ok;
        let mut left = self.most;
        let mut cut = answered.cut;
        let last = parts.len().saturating_sub(1);
        let parts: Vec<Value> = parts
            .drain(..)
            .enumerate()
            .map(|(at, part)| {
                let mut shown = shown(part);
                if is_partial && at == last {
                    each_text(&mut shown, &mut |text| text.truncate(whole_words(text)));
                }
                self.redactor.json(&mut shown);
                each_text(&mut shown, &mut |text| {
                    cut |= text.len() > left;
                    text.truncate(text.floor_char_boundary(left));
                    left -= text.len();
                });
                shown
            })
            .collect();
        json!({"status": answered.status.as_str(), "cut": cut, "parts": parts})
    }

    fn tell(&mut self) {
        let left_out = self.left_out.load(Ordering::Relaxed);
        let known = self.told.map_or(0, |(_, known)| known);
        if left_out > known && self.told.is_none_or(|(at, _)| at.elapsed() >= TELL_EVERY) {
            tracing::warn!(left_out, "captured content was left out: there was no room for it");
            self.told = Some((Instant::now(), left_out));
        }
    }
}

/// Whose content it is: of the end user that the request names, else of the key.
fn subject(ask: &Ask) -> Subject {
    let text = |name: &str| ask.body.read::<String>(name).ok().flatten();
    let of_metadata =
        || ask.labels.metadata.iter().find(|(key, _)| key == "user_id").map(|(_, id)| id.clone());
    let user = text("user").or_else(of_metadata);
    Subject::of(&ask.caller.principal, text("safety_identifier").as_deref(), user.as_deref())
}

/// A part in plain words. What a vendor sealed for itself is not kept.
fn shown(part: Part) -> Value {
    match part.kind {
        PartKind::Text(text) => json!({"type": "text", "text": text}),
        PartKind::Refusal(text) => json!({"type": "refusal", "text": text}),
        PartKind::Reasoning { text, .. } => json!({"type": "reasoning", "text": text}),
        PartKind::ToolCall { name, arguments, .. } => {
            json!({"type": "tool_call", "name": name, "arguments": arguments})
        }
        PartKind::RedactedReasoning { .. } => json!({"type": "reasoning"}),
        PartKind::Other(raw) => {
            json!({"type": "other", "value": serde_json::from_str::<Value>(raw.get()).ok()})
        }
        _ => json!({"type": "other"}),
    }
}

/// Visits the texts of a part, what kind it is left out.
fn each_text(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, visit)),
        Value::Object(members) => members
            .iter_mut()
            .filter(|(name, _)| *name != "type")
            .for_each(|(_, value)| each_text(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where a text that was cut in the middle ends, without words at its end that may be the beginning of
/// something with a form: the last one, and before it those that are no plain words.
fn whole_words(text: &str) -> usize {
    let mut end = text.len();
    let least = text.floor_char_boundary(end.saturating_sub(TAIL_BYTES));
    for count in 0..TAIL {
        let before = text.get(..end).unwrap_or_default().trim_end_matches(is_between);
        let word_at =
            before.char_indices().rev().find(|(_, c)| is_between(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        let word = before.get(word_at..).unwrap_or_default();
        let is_plain =
            word.chars().all(|c| c.is_alphabetic() || matches!(c, '.' | ';' | ':' | '!' | '?' | '\''));
        if count > 0 && (is_plain || word_at < least) {
            break;
        }
        end = word_at;
    }
    end
}

/// What stands between words, and in no form of anything that is redacted.
fn is_between(c: char) -> bool {
    c.is_whitespace() || !c.is_ascii() || matches!(c, '"' | '{' | '}' | '[' | ']' | '<' | '>' | ',')
}

/// The keys that are to be captured and that nobody has.
pub(super) fn unknown_keys<'s>(settings: &'s CaptureSettings, ring: &KeyRing) -> Vec<&'s str> {
    let known: HashSet<String> = ring.records().iter().map(|record| record.id.to_string()).collect();
    let ids = settings.keys.iter().map(String::as_str);
    ids.filter(|id| *id != "anonymous" && !known.contains(*id)).collect()
}

#[cfg(test)]
mod tests;
