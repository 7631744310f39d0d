//! The calls of the gateway's tools in a run that is written down.
//!
//! - Start with [`Way::run_kept_tools`].
//! - **Invariant:** a call is marked before it is made, and once more with its result.
//! - **Invariant:** a call that needs a word of the caller's is not made before; nor is any other of its turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{Part, RawJson};
use baton_run::{CallResult, Event, ToolCall};
use baton_state::runs::CallState;
use baton_tools::Called;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{TOOLS_AT_ONCE, Way, tool_note};
use super::{halted, milliseconds, not_written};
use crate::Refusal;
use crate::runs::{Bound, Kept, Pad, PendingApproval, ToolTold, Word};

/// What a model is told of a call that was begun by a process that died.
const OUTCOME_UNKNOWN: &str = "error: it is not known whether this call was carried out: what made it ended before \
    the result was written. It was not made again. Find out before you call it again, or tell the user.";

/// What a model is told of a call that the caller does not want.
const REJECTED: &str = "error: the call was not approved, and was not made.";

/// What a tool said, as it is kept until the run's end.
#[derive(Serialize, Deserialize)]
struct Said {
    server: String,
    tool: String,
    is_error: bool,
    text: String,
    took_ms: u64,
    bytes: usize,
}

/// How a call stands before the calls of its turn are made.
enum Standing {
    /// It is done, here or elsewhere.
    Done(Box<Told>),
    /// It is to be made.
    Make {
        /// Whether it may have been made already.
        again: bool,
        /// The word that it is made by.
        word: Option<String>,
    },
    /// The caller has to say a word first.
    Waits(PendingApproval),
}

/// What a call came to, and how.
struct Told {
    called: Called,
    outcome_unknown: bool,
    /// What the caller said of it.
    word: Option<&'static str>,
}

impl From<Called> for Told {
    fn from(called: Called) -> Self {
        Self { called, outcome_unknown: false, word: None }
    }
}

impl Way {
    /// Runs the tools that a turn called. Each is marked before it is called and once it is done, so that after a
    /// crash it is known which were carried out, and which may have been.
    pub(in crate::course) async fn run_kept_tools(
        &mut self,
        kept: &Arc<Kept>,
        calls: Vec<ToolCall>,
    ) -> Result<Option<Event>, Refusal> {
        let mut done: BTreeMap<usize, Told> = BTreeMap::new();
        let mut open = Vec::new();
        let mut pad = kept.pad().await;
        let (turn, segment) = (self.machine.turn(), pad.checkpoint.segment);
        let mut waits = Vec::new();
        let mut making = Vec::new();
        for (at, call) in calls.iter().enumerate().filter(|(_, call)| !self.is_background(&call.name)) {
            match standing(kept, &pad, &mark_of(segment, turn, at, call), call).await {
                Standing::Done(told) => drop(done.insert(at, *told)),
                Standing::Make { again, word } => making.push((at, call, again, word)),
                Standing::Waits(pending) => waits.push(pending),
            }
        }
        if !waits.is_empty() {
            self.wait_for_words(&mut pad, waits);
            return Ok(None);
        }
        let mut by_word = Vec::new();
        for (at, call, again, word) in making {
            let mark = mark_of(segment, turn, at, call);
            if again {
                pad.begins_again(&mark);
            } else {
                pad.begins(&mark);
            }
            if let Some(hash) = word {
                pad.uses(hash);
                by_word.push(at);
            }
            open.push((at, call.clone()));
        }
        pad.checkpoint.progress.approvals.clear();
        pad.touch();
        kept.write(&mut pad).await.map_err(|error| not_written(&error))?;
        drop(pad);
        let most = self.run.pool.policy.timeouts().total;
        let patience = self.left_of_time(kept).map_or(most, |left| left.min(most));
        {
            let way = &*self;
            let running = open.into_iter().map(|(at, call)| async move {
                if let Some(called) = way.call_folder(&call, patience).await {
                    return (at, Some(called));
                }
                let called = match &way.tools {
                    Some(tools) => Some(tools.call(&call.name, &call.arguments, patience).await),
                    None => None,
                };
                (at, called)
            });
            let mut running = stream::iter(running).buffer_unordered(TOOLS_AT_ONCE);
            loop {
                let next = tokio::select! {
                    biased;
                    () = kept.cancel.cancelled() => return Err(halted()),
                    next = running.next() => next,
                };
                let Some((at, called)) = next else { break };
                let (Some(called), Some(call)) = (called, calls.get(at)) else { continue };
                let mut pad = kept.pad().await;
                let said = RawJson::of(&Said::of(&called)).map_err(|_no_json| halted())?;
                pad.ends(&mark_of(segment, turn, at, call), said);
                kept.write(&mut pad).await.map_err(|error| not_written(&error))?;
                let word = by_word.contains(&at).then_some("approved");
                done.insert(at, Told { word, ..Told::from(called) });
            }
        }
        for (at, call) in calls.iter().enumerate() {
            // What agents do beside is not written down: who goes on with the run has none of it.
            if self.is_background(&call.name) {
                let called = Box::pin(self.call_background(call)).await;
                done.insert(at, called.into());
            }
        }
        let dialect = self.client.dialect;
        let mut pad = kept.pad().await;
        let mut results = Vec::with_capacity(done.len());
        let turn = pad.checkpoint.before.turns + turn;
        for (at, Told { called, outcome_unknown, word }) in done {
            let Some(call) = calls.get(at) else { continue };
            let told = ToolTold {
                id: call.id.clone(),
                turn,
                name: call.name.clone(),
                server: called.server.clone(),
                tool: called.tool.clone(),
                arguments: serde_json::from_str(&call.arguments).unwrap_or(Value::Null),
                is_error: called.is_error,
                outcome_unknown,
                repeat_needs: outcome_unknown.then(|| "approval".to_owned()),
                approval: word.map(ToOwned::to_owned),
                step: None,
                result: called.text.clone(),
                duration_ms: milliseconds(called.took),
            };
            let mut event = serde_json::to_value(&told).unwrap_or_default();
            if let Some(members) = event.as_object_mut() {
                members.insert("type".to_owned(), Value::from("tool_result"));
            }
            pad.tell(&event);
            pad.checkpoint.progress.tools.push(told);
            self.run.tools_run.push(tool_note(&called));
            let parts = vec![Part::text(called.text.clone(), dialect)];
            results.push((call.id.clone(), CallResult { parts, is_error: called.is_error }));
            self.report.tool(call, called);
        }
        Ok(Some(Event::ToolsDone(results)))
    }

    /// Has the run rest until its caller has said a word of these calls.
    fn wait_for_words(&mut self, pad: &mut Pad, waits: Vec<PendingApproval>) {
        for pending in &waits {
            // Who goes on with a run that waits already has told of them.
            if pad.checkpoint.progress.approvals.contains(pending) {
                continue;
            }
            let mut event = serde_json::to_value(pending).unwrap_or_default();
            if let Some(members) = event.as_object_mut() {
                members.insert("type".to_owned(), json!("tool_approval_required"));
            }
            pad.tell(&event);
        }
        pad.checkpoint.progress.approvals = waits;
        pad.touch();
        self.keeping.awaits_word = true;
    }
}

/// How a call stands: what is known of it, and what the caller has said.
async fn standing(kept: &Kept, pad: &Pad, mark: &str, call: &ToolCall) -> Standing {
    let is_unknown = match pad.known(mark) {
        None => false,
        Some(CallState::Unknown) => true,
        Some(CallState::Ended(said)) => match said.read::<Said>() {
            Ok(said) => return Standing::Done(Box::new(said.called().into())),
            Err(_not_ours) => true,
        },
    };
    let unknown = || Told { outcome_unknown: true, ..Told::from(error(call, OUTCOME_UNKNOWN)) };
    let Some(approvals) = &kept.terms().approvals else {
        return if is_unknown {
            Standing::Done(Box::new(unknown()))
        } else {
            Standing::Make { again: false, word: None }
        };
    };
    let needs_word =
        if is_unknown { !approvals.may_repeat(&call.name) } else { approvals.covers(&call.name) };
    if !needs_word {
        return Standing::Make { again: is_unknown, word: None };
    }
    let mark = pad.full(mark);
    let bound =
        Bound { run: kept.run(), mark: &mark, name: &call.name, arguments: &call.arguments, is_unknown };
    let hash = bound.hash();
    match kept.word(pad, &hash).await {
        Some(Word { approved: true, .. }) => Standing::Make { again: is_unknown, word: Some(hash) },
        Some(Word { reason, .. }) => {
            let told = if is_unknown { unknown() } else { Told::from(error(call, REJECTED)) };
            let mut told = Told { word: Some("rejected"), ..told };
            if let Some(reason) = reason {
                told.called.text = format!("{} The user says: {reason}", told.called.text);
                told.called.result = Value::from(told.called.text.as_str());
            }
            Standing::Done(Box::new(told))
        }
        None => Standing::Waits(PendingApproval {
            tool_call_id: call.id.clone(),
            step: pad.checkpoint.step.as_ref().map(|step| step.name.clone()),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            why: bound.why().to_owned(),
            hash,
        }),
    }
}

impl Said {
    fn of(called: &Called) -> Self {
        Self {
            server: called.server.clone(),
            tool: called.tool.clone(),
            is_error: called.is_error,
            text: called.text.clone(),
            took_ms: milliseconds(called.took),
            bytes: called.bytes,
        }
    }

    fn called(self) -> Called {
        Called {
            server: self.server,
            tool: self.tool,
            is_error: self.is_error,
            code: None,
            result: Value::from(self.text.as_str()),
            text: self.text,
            took: Duration::from_millis(self.took_ms),
            bytes: self.bytes,
        }
    }
}

/// What a call is known by in its run, whatever id its model gave it.
fn mark_of(segment: u32, turn: u32, at: usize, call: &ToolCall) -> String {
    format!("{segment}/{turn}/{at}/{}", call.id)
}

/// A call that was not made here: what its model is told instead of a result.
fn error(call: &ToolCall, text: &str) -> Called {
    Called {
        server: String::new(),
        tool: call.name.clone(),
        is_error: true,
        code: None,
        text: text.to_owned(),
        result: Value::from(text),
        took: Duration::ZERO,
        bytes: 0,
    }
}

pub(super) fn told_called(told: &ToolTold) -> Called {
    Called {
        server: told.server.clone(),
        tool: told.tool.clone(),
        is_error: told.is_error,
        code: None,
        text: told.result.clone(),
        result: Value::from(told.result.as_str()),
        took: Duration::from_millis(told.duration_ms),
        bytes: told.result.len(),
    }
}
