//! Shall the conversation go to another model?
//!
//! A hand-over that somebody asks for is one question with one answer: this candidate, or nobody. So the
//! stages reject as ever, and orders, switch costs and last resorts have no say. Of a rule that matches,
//! what refuses and what allows counts, and what prefers does not.
//!
//! Between turns nobody is chosen anew: the conversation stays, unless a rule hands it over.
//!
//! - **Invariant:** a hand-over goes to the candidate that was asked for, which no stage rejects and which
//!   does not have the conversation already, or to nobody.

use super::order::{FirstBy, Ranked};
use super::reason::{ended_by, why_rejected};
use super::{Case, Cell, Plan, is_named, rejection, small, table, target};
use crate::{
    Actions, Asked, Candidate, HandoffBy, Reason, ReasonCode, ReasonSource, Rejection, Row, Rule, Stage,
    Verdict,
};

/// Whether a rule hands over to this candidate.
pub(super) fn is_target(actions: &Actions, candidate: &Candidate) -> bool {
    actions.handoff_to.as_ref().is_some_and(|name| is_named(name, candidate))
}

impl Case<'_> {
    /// Puts whom a rule hands over to first, else who has the conversation. No order ranks, and no judge
    /// is asked: that was done when the request began.
    pub(super) fn keep(&self, eligible: &mut [usize]) -> Ranked {
        let candidate = |at: usize| self.inputs.candidates.get(at);
        let is_target =
            |at: usize| self.actions.zip(candidate(at)).is_some_and(|(actions, it)| is_target(actions, it));
        eligible.sort_by_key(|at| {
            if is_target(*at) {
                0
            } else if self.is_holder(Some(*at)) {
                1
            } else {
                2
            }
        });
        let by_rule = eligible.first().is_some_and(|at| is_target(*at));
        let first_by = if by_rule { FirstBy::Rule } else { FirstBy::Order };
        Ranked { first_by, ..Ranked::plain() }
    }

    /// Whether a candidate has the conversation.
    pub(super) fn is_holder(&self, at: Option<usize>) -> bool {
        at.and_then(|at| target(self.inputs, at)).is_some_and(|it| Some(it) == self.inputs.holder())
    }

    /// The first candidate, where a rule hands over to it and another one has the conversation.
    pub(super) fn leads_away(&self, first: Option<usize>) -> Option<usize> {
        let actions = self.actions?;
        let holder = self.inputs.holder()?;
        first.filter(|at| {
            self.inputs
                .candidates
                .get(*at)
                .is_some_and(|candidate| is_target(actions, candidate) && candidate.target != *holder)
        })
    }

    /// Plans a hand-over that is asked for, from what the stages say of everybody.
    pub(super) fn hand_over(&self, asked: &Asked, mut cells: Vec<Cell>, rule: Option<usize>) -> Plan {
        let place = |at: u32| usize::try_from(at).ok();
        let to = place(asked.to).filter(|to| self.inputs.candidates.get(*to).is_some());
        for (at, cell) in cells.iter_mut().enumerate() {
            let code = if self.is_holder(Some(at)) {
                ReasonCode::HasConversation
            } else if Some(at) != to {
                ReasonCode::NotHandedTo
            } else {
                continue;
            };
            if cell.rejection.is_none() {
                cell.rejection = Some(rejection(Stage::Order, code));
            }
        }
        let order: Vec<usize> =
            to.filter(|to| cells.get(*to).is_some_and(|cell| cell.rejection.is_none())).into_iter().collect();
        let table = table(cells, &order);
        let reason = self.handed_over(asked, rule, to, &table);
        Plan {
            handoff: order.first().copied().map(small),
            order: order.into_iter().map(small).collect(),
            table,
            reason,
            rule: rule.map(small),
            stays: false,
            last_resort: false,
        }
    }

    fn handed_over(&self, asked: &Asked, rule: Option<usize>, to: Option<usize>, table: &[Row]) -> Reason {
        let rule = rule.and_then(|at| self.policy.document.rules.get(at));
        let found = to.and_then(|at| Some((target(self.inputs, at)?, table.get(at)?)));
        let from = self.inputs.holder().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let refused = |code, text| Reason { code, text, source: ReasonSource::Policy };
        let Some((to, row)) = found else {
            let text = format!("{from} keeps the conversation: there is no such candidate");
            return refused(ReasonCode::HandoffDenied, text);
        };
        match &row.verdict {
            Verdict::Rejected(rejection) => rule.and_then(ended_by).unwrap_or_else(|| {
                let text = format!("{from} keeps the conversation: {}", why_rejected(to, rejection));
                refused(refusal(rejection), text)
            }),
            Verdict::Selected | Verdict::Eligible { .. } => {
                let (code, source, why) = match (asked.by, rule) {
                    (HandoffBy::Model, _) => (
                        ReasonCode::HandedOver,
                        ReasonSource::Model,
                        "because the model asked for it".to_owned(),
                    ),
                    (HandoffBy::Rule, Some(rule)) => {
                        (ReasonCode::HandoffByRule, ReasonSource::Rule, by_rule(rule))
                    }
                    (HandoffBy::Rule, None) => {
                        (ReasonCode::HandoffByRule, ReasonSource::Rule, "as a rule says".to_owned())
                    }
                    (HandoffBy::Forced, _) => {
                        (ReasonCode::HandoffForced, ReasonSource::Config, "as is configured".to_owned())
                    }
                };
                Reason { code, text: format!("{to} takes over from {from} {why}"), source }
            }
        }
    }

    /// The sentence of a hand-over that a rule makes.
    pub(super) fn handed_over_by(&self, rule: &Rule, to: usize) -> String {
        match (target(self.inputs, to), self.inputs.holder()) {
            (Some(to), Some(from)) => format!("{to} takes over from {from} {}", by_rule(rule)),
            _ => String::new(),
        }
    }
}

fn by_rule(rule: &Rule) -> String {
    format!("by rule `{}`", rule.name)
}

/// Whether it may not be handed to, or only cannot be now.
fn refusal(rejection: &Rejection) -> ReasonCode {
    match rejection.stage {
        Stage::Health => ReasonCode::TargetUnavailable,
        _ => ReasonCode::HandoffDenied,
    }
}
