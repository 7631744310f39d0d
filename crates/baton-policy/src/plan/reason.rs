//! The one sentence that says why, made from the table.

use baton_model::{NanoUsd, Target};

use super::fixed::{dollars, share};
use super::order::{FirstBy, Ranked};
use super::{Case, target};
use crate::{
    AgentMove, AgentMoveBy, JudgeFailure, Order, Reason, ReasonCode, ReasonSource, Rejection, Row, Rule,
    Verdict,
};

/// What the sentence is made from, beside the table.
pub(super) struct Told {
    pub(super) ranked: Ranked,
    pub(super) rule: Option<usize>,
    pub(super) handoff: Option<usize>,
    pub(super) stays: bool,
    pub(super) last_resort: bool,
}

impl Case<'_> {
    pub(super) fn reason(&self, told: &Told, order: &[usize], table: &[Row]) -> Reason {
        let rule = told.rule.and_then(|at| self.policy.document.rules.get(at));
        if let Some(ended) = rule.filter(|_| order.is_empty()).and_then(ended_by) {
            return ended;
        }
        let skipped = self.skipped(order.first().copied(), table);
        let Some(first) = order.first().and_then(|at| target(self.inputs, *at)) else {
            let text = if skipped.is_empty() {
                "no model was named".to_owned()
            } else {
                format!("no model is left: {}", skipped.join(", "))
            };
            return Reason { code: ReasonCode::Exhausted, text, source: ReasonSource::Policy };
        };
        if let Some(path) = &self.inputs.passes {
            let text = format!("{} was named for `{path}`", first.provider);
            return Reason { code: ReasonCode::NamedProvider, text, source: ReasonSource::Client };
        }
        let (code, source, mut text) = if told.last_resort {
            (
                ReasonCode::LastResort,
                ReasonSource::Policy,
                format!("no target is well, and {first} is the first that may be again"),
            )
        } else if told.stays {
            (
                ReasonCode::Stays,
                ReasonSource::Policy,
                format!("the conversation stays with {first}: {}", self.not_better(told, order, table)),
            )
        } else if let (Some(to), Some(rule)) = (told.handoff, rule) {
            (ReasonCode::HandoffByRule, ReasonSource::Rule, self.handed_over_by(rule, to))
        } else if let (FirstBy::Rule, Some(rule)) = (told.ranked.first_by, rule) {
            (
                ReasonCode::ChosenByRule,
                ReasonSource::Policy,
                format!("{first} is chosen by rule `{}`", rule.name),
            )
        } else {
            self.ranked_first(told, order, table)
        };
        if !skipped.is_empty() {
            text.push_str(": ");
            text.push_str(&skipped.join(", "));
        }
        Reason { code, text, source }
    }

    fn ranked_first(
        &self,
        told: &Told,
        order: &[usize],
        table: &[Row],
    ) -> (ReasonCode, ReasonSource, String) {
        let first = order.first().copied().unwrap_or_default();
        let Some(name) = target(self.inputs, first) else {
            return (ReasonCode::Exhausted, ReasonSource::Policy, String::new());
        };
        let policy = |code, text| (code, ReasonSource::Policy, text);
        let client = |code, text| (code, ReasonSource::Client, text);
        if self.inputs.candidates.iter().filter(|it| !it.by_rule).count() == 1 {
            return client(ReasonCode::OnlyModel, format!("{name} was the only model named"));
        }
        if told.ranked.first_by == FirstBy::Providers {
            let text = format!("{name} is first in the provider order of the request");
            return client(ReasonCode::ProviderOrder, text);
        }
        let figures = self.figures(told.ranked.by, order, table);
        let kind = self.inputs.features.task_kind().map_or("an unknown task", |kind| kind.as_str());
        let (code, source, mut text) = match told.ranked.by {
            Order::Ordered if first == 0 => {
                client(ReasonCode::FirstInOrder, format!("{name} is first in the list"))
            }
            Order::Ordered => policy(ReasonCode::FirstEligible, format!("{name} is the first that fits")),
            Order::Weighted => policy(ReasonCode::DrawnByWeight, format!("{name} was drawn by lot{figures}")),
            Order::Cheapest => {
                policy(ReasonCode::Cheapest, format!("{name} is expected to cost least{figures}"))
            }
            Order::Fastest if told.ranked.exploring => {
                policy(ReasonCode::Exploring, format!("{name} is tried because it was measured least"))
            }
            Order::Fastest => policy(ReasonCode::Fastest, format!("{name} was the quickest lately{figures}")),
            Order::Balanced => policy(
                ReasonCode::BestBalance,
                format!("{name} has the best balance of quality, cost and speed{figures}"),
            ),
            Order::Attributes => policy(
                ReasonCode::BestAttributes,
                format!("{name} offers most of what the task wants{figures}"),
            ),
            Order::Strengths => {
                policy(ReasonCode::BestStrengths, format!("{name} is the strongest at {kind}{figures}"))
            }
            Order::Auto => policy(
                ReasonCode::BestExpected,
                format!("{name} is expected to do best for its cost at {kind}{figures}"),
            ),
            Order::Judge => policy(ReasonCode::Judged, format!("{name} was named by the judge")),
        };
        for passed in &told.ranked.passed_over {
            text.push_str(why_passed_over(*passed, told));
        }
        (code, source, text)
    }

    /// The figure of the first one, and of the one behind it.
    fn figures(&self, by: Order, order: &[usize], table: &[Row]) -> String {
        let figure = |place: usize| {
            let at = *order.get(place)?;
            let score = table.get(at)?.score?;
            Some((target(self.inputs, at)?, shown(by, score)?))
        };
        match (figure(0), figure(1)) {
            (Some((_, mine)), Some((other, theirs))) => format!(" ({mine}; {other} {theirs})"),
            (Some((_, mine)), None) => format!(" ({mine})"),
            (None, _) => String::new(),
        }
    }

    /// Why the conversation does not go to another one.
    fn not_better(&self, told: &Told, order: &[usize], table: &[Row]) -> String {
        let figures = self.figures(told.ranked.by, order, table);
        if self.inputs.run.is_some() {
            return "no rule leads away from it".to_owned();
        }
        let Some(other) = order.get(1).and_then(|at| target(self.inputs, *at)) else { return String::new() };
        if told.ranked.by == Order::Weighted {
            return format!("{other} was drawn, and lots are drawn once for a conversation");
        }
        format!("{other} is not better by enough to lose the prompt cache{figures}")
    }

    /// The rejected candidates that stood before the chosen one (or all), each as half a sentence.
    fn skipped(&self, chosen: Option<usize>, table: &[Row]) -> Vec<String> {
        table
            .iter()
            .zip(&self.inputs.candidates)
            .take(chosen.unwrap_or(usize::MAX))
            .filter_map(|(row, candidate)| match &row.verdict {
                Verdict::Rejected(rejection) => Some(why_rejected(&candidate.target, rejection)),
                Verdict::Selected | Verdict::Eligible { .. } => None,
            })
            .take(MOST_SKIPPED)
            .collect()
    }
}

/// Why a rule ends everything, if it does.
pub(super) fn ended_by(rule: &Rule) -> Option<Reason> {
    let (code, text) = if let Some(why) = &rule.then.refuse {
        (ReasonCode::RefusedByRule, format!("rule `{}` refuses the request: {why}", rule.name))
    } else if rule.then.stop {
        (ReasonCode::StoppedByRule, format!("rule `{}` ends the run", rule.name))
    } else {
        return None;
    };
    Some(Reason { code, text, source: ReasonSource::Policy })
}

/// Why an agent begins to work, and why with this model.
pub(super) fn agent_begins(agent: &AgentMove, chosen: &Reason) -> Reason {
    let AgentMove { from, to, by } = agent;
    let (code, source, what) = match by {
        AgentMoveBy::Handoff => (
            ReasonCode::HandedOver,
            ReasonSource::Model,
            format!("agent `{to}` takes over from agent `{from}` because its model asked for it"),
        ),
        AgentMoveBy::Forced => (
            ReasonCode::HandoffForced,
            ReasonSource::Config,
            format!("agent `{to}` takes over from agent `{from}` as is configured to follow its answer"),
        ),
        AgentMoveBy::Task => (
            ReasonCode::Delegated,
            ReasonSource::Model,
            format!("agent `{to}` is given a task by agent `{from}`"),
        ),
        AgentMoveBy::Return => (
            ReasonCode::Returned,
            ReasonSource::Policy,
            format!("agent `{to}` goes on with the answer of agent `{from}`"),
        ),
    };
    Reason { code, text: format!("{what}; {}", chosen.text), source }
}

/// What is held against a target, as half a sentence.
pub(super) fn why_rejected(name: &Target, rejection: &Rejection) -> String {
    let clause = rejection.code.clause();
    match (&rejection.observed, &rejection.limit) {
        (Some(observed), Some(limit)) => format!("{name} {clause} ({observed}, limit {limit})"),
        (Some(observed), None) => format!("{name} {clause} ({observed})"),
        (None, Some(limit)) => format!("{name} {clause} ({limit})"),
        (None, None) => format!("{name} {clause}"),
    }
}

/// Why an order could not rank, as the end of a sentence.
const fn why_passed_over(order: Order, told: &Told) -> &'static str {
    match (order, told.ranked.judge_failed) {
        (Order::Judge, Some(JudgeFailure::Timeout)) => ", as the judge did not answer in time",
        (Order::Judge, Some(JudgeFailure::Fault)) => ", as the judge's model failed",
        (Order::Judge, Some(JudgeFailure::NoCandidate)) => ", as the judge named none of the candidates",
        (Order::Strengths, _) => ", as the kind of task is not known",
        (Order::Attributes, _) => ", as the request wants no attributes",
        _ => "",
    }
}

/// As many as a sentence bears; the table has them all.
const MOST_SKIPPED: usize = 8;

/// A score as people read it.
fn shown(by: Order, score: u64) -> Option<String> {
    match by {
        Order::Ordered | Order::Judge => None,
        Order::Weighted => Some(format!("weight {score}")),
        Order::Cheapest => Some(dollars(NanoUsd(score))),
        Order::Fastest => Some(if score == 0 { "never measured".to_owned() } else { format!("{score} ms") }),
        Order::Balanced | Order::Attributes | Order::Strengths | Order::Auto => Some(share(score)),
    }
}
