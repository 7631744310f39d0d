//! Puts the candidates in order, stage by stage, and says why.
//!
//! Each candidate goes through the stages until one rejects it; what is left is ranked. The order of
//! the stages is the order of [`Stage`].

use std::borrow::Cow;
use std::collections::HashSet;

use baton_model::{ModelName, NanoUsd, Target, Usage};
use serde::{Deserialize, Serialize};

use crate::rule::Actions;
use crate::{
    Candidate, Constraints, DownReason, Inputs, Knowledge, Policy, Reason, ReasonCode, Rejection, Row, Stage,
    Verdict,
};

mod allow;
mod capability;
mod constraint;
mod fixed;
mod handoff;
mod health;
mod order;
mod reason;
mod switch;

use reason::agent_begins;

pub use allow::covers;
pub(crate) use fixed::dollars;

/// The version of the planner, recorded with every decision.
pub const PLANNER_VERSION: u32 = 4;

/// Whether this planner makes of a record of that version what that version made of it.
///
/// Version 3 added hand-overs, version 4 answers of a schema by way of a tool, and limits of output that are lowered. What a record of an earlier version can
/// say has the same meaning in all of them.
#[must_use]
pub const fn replays(planner: u32) -> bool {
    matches!(planner, 2..=PLANNER_VERSION)
}

/// What planning comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// A plan.
    Plan(Plan),
    /// A question to be answered first; the answer is an input of the next call.
    Ask(Question),
}

/// Who is tried, in which order, and what was said about everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The candidates to try, by their place in the inputs. Empty when all were rejected.
    pub order: Vec<u32>,
    /// One row for each candidate, in the order of the inputs.
    pub table: Vec<Row>,
    /// Why the first one is first, or why there is none.
    pub reason: Reason,
    /// The rule that matched, by its place in the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// The candidate that the conversation goes to, from another one that has it. It is the first in the
    /// order too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<u32>,
    /// Whether the conversation stays where it is although another ranks higher.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
    /// Whether none is well, so that one attempt is all there is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_resort: bool,
}

/// What a judge is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who is asked.
    pub judge: ModelName,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The candidates to choose from, by their place in the inputs.
    pub choices: Vec<u32>,
}

/// What all stages look at.
struct Case<'a> {
    policy: &'a Policy,
    knowledge: &'a Knowledge,
    inputs: &'a Inputs,
    /// The policy's limits and the client's.
    constraints: Cow<'a, Constraints>,
    actions: Option<&'a Actions>,
    /// Whether lots decide, so that a weight of zero is no candidate.
    by_lot: bool,
}

/// A candidate's way through the stages.
#[derive(Clone, Debug, Default)]
struct Cell {
    rejection: Option<Rejection>,
    score: Option<u64>,
}

/// Plans a request. Total: whatever the inputs, every candidate gets a verdict.
#[must_use]
pub fn plan(policy: &Policy, knowledge: &Knowledge, inputs: &Inputs) -> Planned {
    let rule = policy.rules.first_match(inputs);
    let mut case = Case {
        policy,
        knowledge,
        inputs,
        constraints: if inputs.wishes.constraints.is_empty() {
            Cow::Borrowed(&policy.document.constraints)
        } else {
            Cow::Owned(policy.document.constraints.and(&inputs.wishes.constraints))
        },
        actions: rule.and_then(|at| policy.document.rules.get(at)).map(|rule| &rule.then),
        by_lot: false,
    };
    case.by_lot = inputs.run.is_none() && case.draws();
    let mut cells = case.cells();
    if let Some(asked) = inputs.run.as_ref().and_then(|run| run.asked.as_ref()) {
        return Planned::Plan(case.hand_over(asked, cells, rule));
    }
    let mut eligible: Vec<usize> = open(&cells);
    let mut last_resort = false;
    if eligible.is_empty()
        && let Some(at) = case.last_resort(&cells)
    {
        if let Some(cell) = cells.get_mut(at) {
            cell.rejection = None;
        }
        eligible.push(at);
        last_resort = true;
    }
    let between_turns = inputs.run.is_some();
    let ranked = if between_turns {
        case.keep(&mut eligible)
    } else {
        match case.rank(&mut cells, &mut eligible) {
            Ok(ranked) => ranked,
            Err(question) => return Planned::Ask(question),
        }
    };
    let stays = if between_turns {
        case.is_holder(eligible.first().copied())
    } else {
        case.stay(&ranked, &cells, &mut eligible)
    };
    if inputs.providers.allow_fallbacks == Some(false) {
        for at in eligible.drain(1.min(eligible.len())..) {
            if let Some(cell) = cells.get_mut(at) {
                cell.rejection = Some(rejection(Stage::Allow, ReasonCode::FallbackNotAllowed));
            }
        }
    }
    let table = table(cells, &eligible);
    let handoff = case.leads_away(eligible.first().copied());
    let reason = case.reason(&reason::Told { ranked, rule, handoff, stays, last_resort }, &eligible, &table);
    let reason = match &inputs.agent {
        Some(agent) if !eligible.is_empty() => agent_begins(agent, &reason),
        _ => reason,
    };
    Planned::Plan(Plan {
        order: eligible.into_iter().map(small).collect(),
        table,
        reason,
        rule: rule.map(small),
        handoff: handoff.map(small),
        stays,
        last_resort,
    })
}

impl Case<'_> {
    /// Takes every candidate through the stages.
    fn cells(&self) -> Vec<Cell> {
        let candidates = &self.inputs.candidates;
        let mut cells = Vec::<Cell>::with_capacity(candidates.len());
        let mut standing = Standing::with_room_for(candidates.len());
        for candidate in candidates {
            // Only one that stands makes a later one superfluous: under another name the same target may
            // be allowed where it was not before.
            let rejection = if standing.has(&candidate.target) {
                Some(rejection(Stage::Allow, ReasonCode::ListedTwice))
            } else {
                self.judge(candidate)
            };
            if rejection.is_none() {
                standing.add(&candidate.target);
            }
            cells.push(Cell { rejection, score: None });
        }
        cells
    }

    /// The first stage that rejects a candidate, if one does.
    fn judge(&self, candidate: &Candidate) -> Option<Rejection> {
        capability::rejects(&candidate.facts.capabilities, &self.inputs.features)
            .or_else(|| capability::carries(candidate))
            .or_else(|| allow::rejects(self.inputs, candidate))
            .or_else(|| health::rejects(candidate))
            .or_else(|| self.rejects_when_well(candidate))
    }

    /// What is held against a candidate behind the question whether it is well.
    fn rejects_when_well(&self, candidate: &Candidate) -> Option<Rejection> {
        constraint::rejects(self, candidate)
            .or_else(|| self.rule_rejects(candidate))
            .or_else(|| self.lot_rejects(candidate))
    }

    /// The candidate that is the first to be well again, among those that are only unwell.
    fn last_resort(&self, cells: &[Cell]) -> Option<usize> {
        self.inputs
            .candidates
            .iter()
            .zip(cells)
            .enumerate()
            .filter_map(|(at, (candidate, cell))| {
                let unwell = cell.rejection.as_ref().is_some_and(|it| it.stage == Stage::Health);
                let down = candidate.health.down.filter(|down| {
                    unwell && !matches!(down.why, DownReason::Disabled | DownReason::Drained)
                })?;
                let fits = self.rejects_when_well(candidate).is_none();
                fits.then_some((down.for_ms, &candidate.target, at))
            })
            .min()
            .map(|(_, _, at)| at)
    }

    fn rule_rejects(&self, candidate: &Candidate) -> Option<Rejection> {
        let Some(actions) = self.actions else {
            return candidate.by_rule.then(|| rejection(Stage::Rules, ReasonCode::NotAskedFor));
        };
        let code = if actions.refuse.is_some() {
            ReasonCode::RefusedByRule
        } else if actions.stop {
            ReasonCode::StoppedByRule
        } else if handoff::is_target(actions, candidate) {
            // Whom the rule hands over to need be in none of its lists.
            return None;
        } else if actions.use_models.is_empty() && candidate.by_rule {
            ReasonCode::NotAskedFor
        } else if !actions.use_models.is_empty() && place(&actions.use_models, candidate).is_none()
            || !actions.allow_models.is_empty() && !allow::any_covers(&actions.allow_models, candidate)
        {
            ReasonCode::NotInRule
        } else {
            return None;
        };
        Some(rejection(Stage::Rules, code))
    }

    /// What the request is expected to cost there.
    fn cost(&self, candidate: &Candidate) -> Option<NanoUsd> {
        let features = &self.inputs.features;
        let cached = self.inputs.current.as_ref().filter(|current| current.target == candidate.target);
        Some(candidate.facts.price?.cost(&Usage {
            input_tokens: features.input_tokens,
            cached_input_tokens: cached.map_or(0, |current| current.cached_tokens),
            output_tokens: features.expected_output_tokens(),
            ..Usage::default()
        }))
    }
}

/// The targets that no stage has rejected so far: few are looked through, many are looked up.
enum Standing<'a> {
    Few(Vec<&'a Target>),
    Many(HashSet<&'a Target>),
}

/// Up to here looking through is quicker.
const FEW: usize = 24;

impl<'a> Standing<'a> {
    fn with_room_for(candidates: usize) -> Self {
        if candidates <= FEW {
            Self::Few(Vec::with_capacity(candidates))
        } else {
            Self::Many(HashSet::with_capacity(candidates))
        }
    }

    fn has(&self, target: &Target) -> bool {
        match self {
            Self::Few(targets) => targets.contains(&target),
            Self::Many(targets) => targets.contains(target),
        }
    }

    fn add(&mut self, target: &'a Target) {
        match self {
            Self::Few(targets) => targets.push(target),
            Self::Many(targets) => {
                targets.insert(target);
            }
        }
    }
}

/// The candidates that no stage has rejected.
fn open(cells: &[Cell]) -> Vec<usize> {
    cells.iter().enumerate().filter(|(_, cell)| cell.rejection.is_none()).map(|(at, _)| at).collect()
}

fn table(cells: Vec<Cell>, order: &[usize]) -> Vec<Row> {
    let mut ranks = vec![None; cells.len()];
    for (rank, at) in order.iter().enumerate() {
        if let Some(slot) = ranks.get_mut(*at) {
            *slot = Some(rank);
        }
    }
    cells
        .into_iter()
        .zip(ranks)
        .enumerate()
        .map(|(at, (cell, rank))| {
            let verdict = match (cell.rejection, rank) {
                (Some(rejection), _) => Verdict::Rejected(rejection),
                (None, Some(0)) => Verdict::Selected,
                (None, rank) => Verdict::Eligible { rank: small(rank.unwrap_or(usize::MAX)) },
            };
            Row { candidate: small(at), verdict, score: cell.score }
        })
        .collect()
}

/// Where a list of models names the candidate, by whatever name.
fn place(models: &[ModelName], candidate: &Candidate) -> Option<usize> {
    models.iter().position(|name| is_named(name, candidate))
}

fn is_named(name: &ModelName, candidate: &Candidate) -> bool {
    *name == candidate.model
        || allow::is_target(name.as_str(), &candidate.target)
        || candidate.facts.aliases.contains(name)
}

fn target(inputs: &Inputs, at: usize) -> Option<&Target> {
    inputs.candidates.get(at).map(|candidate| &candidate.target)
}

fn small(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

const fn rejection(stage: Stage, code: ReasonCode) -> Rejection {
    Rejection { stage, code, observed: None, limit: None }
}

const fn measured(stage: Stage, code: ReasonCode, observed: String, limit: String) -> Rejection {
    Rejection { stage, code, observed: Some(observed), limit: Some(limit) }
}

#[cfg(test)]
mod tests;
