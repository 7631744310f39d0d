//! Records what is decided between the requests of a run: that an answer is not taken, and which vote counts.
//!
//! - **Invariant:** it is written before it takes effect.

use baton_audit::{Decision, DecisionKind, HandoffNote, Record};
use baton_model::{RunId, Target};
use baton_policy::{PLANNER_VERSION, Reason, ReasonCode, ReasonSource};
use baton_run::{CheckNote, CheckThen, Choice, ChoiceBy};

use super::Halted;
use crate::{Ask, Engine};

/// A decision without an attempt of its own.
struct Noted {
    kind: DecisionKind,
    from: Option<Target>,
    to: Option<Target>,
    reason: Reason,
    /// What a model said of it.
    said: Option<String>,
}

/// An answer was not taken.
pub(super) fn not_taken(
    engine: &Engine,
    client: &Ask,
    run: RunId,
    who: &str,
    model: Option<&str>,
    check: &CheckNote,
) -> Result<(), Halted> {
    let (kind, then) = match check.then {
        CheckThen::Retry => (DecisionKind::Retry, "it is asked again"),
        CheckThen::Handoff => (DecisionKind::Handoff, "another one is asked"),
        CheckThen::Fail => (DecisionKind::Stop, "it ends"),
    };
    // Why is in the caller's own words, or a judge's.
    let text = format!("the answer of {who} is not what it has to be, and {then}");
    let reason = Reason { code: ReasonCode::ValidationFailed, text, source: ReasonSource::Policy };
    let from = model.and_then(|model| model.parse().ok());
    let noted = Noted { kind, from, to: None, reason, said: Some(check.why.clone()) };
    record(engine, client, run, noted)
}

/// One of several votes counts.
pub(super) fn counted(
    engine: &Engine,
    client: &Ask,
    run: RunId,
    choice: &Choice,
    model: Option<&str>,
) -> Result<(), Halted> {
    let why = match choice.by {
        ChoiceBy::Judge => "the judge named it".to_owned(),
        ChoiceBy::Tie(tie) => format!("the judge named none, and the rule for that is `{}`", tie.as_str()),
        ChoiceBy::OnlyVote => "no other was given".to_owned(),
    };
    let text = format!("the vote of `{}` counts: {why}", choice.step);
    let reason = Reason { code: ReasonCode::VoteCounted, text, source: ReasonSource::Policy };
    let to = model.and_then(|model| model.parse().ok());
    record(
        engine,
        client,
        run,
        Noted { kind: DecisionKind::Select, from: None, to, reason, said: choice.reason.clone() },
    )
}

fn record(engine: &Engine, client: &Ask, run: RunId, noted: Noted) -> Result<(), Halted> {
    let Noted { kind, from, to, reason, said } = noted;
    let mut decision = Decision {
        id: engine.ids.decision(),
        run,
        request: client.request,
        parent: None,
        at_ms: engine.ids.now_ms(),
        turn: 1,
        hop: 1,
        kind,
        principal: client.caller.principal.clone(),
        surface: client.surface.to_owned(),
        requested: Vec::new(),
        from,
        to,
        to_model: None,
        attempt: false,
        reason,
        planner: PLANNER_VERSION,
        config: engine.settings().version.clone(),
        inputs: None,
        table: Vec::new(),
        shadow: None,
        handoff: None,
        tools: Vec::new(),
        steps: Vec::new(),
        dropped_parameters: Vec::new(),
        ignored_parameters: Vec::new(),
        labels: client.labels.clone(),
    };
    let said = said.and_then(|said| engine.seal_said(&decision, &said));
    decision.handoff = said.map(|said| Box::new(HandoffNote { said: Some(said), ..HandoffNote::default() }));
    engine.journal.append(&Record::Decision(Box::new(decision))).map(drop).map_err(|error| {
        tracing::error!(error = %error, run = %run, "a decision could not be recorded, and the run stops here");
        Halted
    })
}
