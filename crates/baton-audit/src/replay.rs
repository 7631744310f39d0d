//! Derives past decisions again, from what was recorded and nothing else, and says what another policy
//! would have decided.
//!
//! - Start with [`Replayer::replay`] and [`Replayer::what_if`].
//! - **Invariant:** nothing of the present (configuration, prices, clock, health) goes into the result.

use std::collections::HashMap;
use std::sync::Arc;

use baton_model::{NanoUsd, Target, Usage};
use baton_policy::{
    Asked, Candidate, Current, HandoffBy, Inputs, Knowledge, Plan, Planned, Policy, PolicyDocument,
    PolicyRef, plan, replays,
};

use crate::Decision;

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Table, order and reason are those of the record.
    Same,
    /// They are not: what differs, and the plan as it is derived now.
    Differs {
        /// The members of the record that differ.
        members: Vec<&'static str>,
        /// The plan of today.
        plan: Option<Box<Plan>>,
    },
    /// It cannot be derived.
    NotReplayable(NotReplayable),
}

/// Why a decision cannot be derived again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// It follows from a failure or from another decision, and has no inputs of its own.
    #[error("the decision was not made from a plan")]
    NoPlan,
    /// Another planner made it.
    #[error("not replayable: planner {0}")]
    Planner(u32),
    /// A document is not in the store.
    #[error("the {kind} `{hash}` is not recorded")]
    Missing {
        /// What is missing.
        kind: &'static str,
        /// Its version.
        hash: String,
    },
    /// A document is not what this version reads.
    #[error("the {kind} `{hash}` cannot be read: {why}")]
    Unreadable {
        /// What cannot be read.
        kind: &'static str,
        /// Its version.
        hash: String,
        /// Why.
        why: String,
    },
}

/// What another policy would have decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatIf {
    /// The same target.
    Same,
    /// Another target, or none.
    Changed {
        /// The target of the record.
        from: Option<Target>,
        /// The target under the other policy.
        to: Option<Target>,
        /// What the answer's tokens would have cost less or more, in nano-dollars, where both prices and
        /// the tokens are known.
        cost: Option<i64>,
    },
    /// The record does not say what the policy would look at.
    Undetermined(&'static str),
}

/// Derives decisions again from documents that it is given.
#[derive(Debug, Default)]
pub struct Replayer {
    documents: HashMap<String, serde_json::Value>,
    policies: HashMap<PolicyRef, Result<Arc<Policy>, NotReplayable>>,
    knowledge: HashMap<String, Result<Arc<Knowledge>, NotReplayable>>,
}

impl Replayer {
    /// The hashes of the documents that a decision refers to.
    #[must_use]
    pub fn needs(decision: &Decision) -> Vec<&str> {
        let Some(inputs) = &decision.inputs else { return Vec::new() };
        let built_in = Policy::built_in(&inputs.policy.name).is_some_and(|it| it.reference == inputs.policy);
        let policy = (!built_in).then_some(inputs.policy.version.as_str());
        policy.into_iter().chain([inputs.knowledge.as_str()]).collect()
    }

    /// Takes a document that decisions refer to.
    pub fn give(&mut self, hash: String, body: serde_json::Value) {
        self.documents.insert(hash, body);
    }

    /// Derives a decision again.
    pub fn replay(&mut self, decision: &Decision) -> Replay {
        let Some(inputs) = &decision.inputs else { return Replay::NotReplayable(NotReplayable::NoPlan) };
        if !replays(decision.planner) {
            return Replay::NotReplayable(NotReplayable::Planner(decision.planner));
        }
        let (policy, knowledge) = match (self.policy(&inputs.policy), self.knowledge(&inputs.knowledge)) {
            (Ok(policy), Ok(knowledge)) => (policy, knowledge),
            (Err(why), _) | (_, Err(why)) => return Replay::NotReplayable(why),
        };
        let inputs = informed(inputs, &knowledge);
        match plan(&policy, &knowledge, &inputs) {
            Planned::Ask(_) => Replay::Differs { members: vec!["judged"], plan: None },
            Planned::Plan(plan) => compare(decision, &inputs, plan),
        }
    }

    /// What another policy would have decided from the same inputs; `used` are the answer's tokens.
    pub fn what_if(&mut self, decision: &Decision, used: Option<&Usage>, policy: &Policy) -> WhatIf {
        let Some(inputs) = &decision.inputs else { return WhatIf::Undetermined("no plan") };
        if !replays(decision.planner) {
            return WhatIf::Undetermined("another planner");
        }
        if inputs.passes.is_some() {
            return WhatIf::Same;
        }
        let Ok(knowledge) = self.knowledge(&inputs.knowledge) else {
            return WhatIf::Undetermined("the catalogue is not recorded");
        };
        let to = match choose(policy, &knowledge, informed(inputs, &knowledge)) {
            Ok(to) => to,
            Err(missing) => return WhatIf::Undetermined(missing),
        };
        if to == decision.to {
            return WhatIf::Same;
        }
        let cost = |target: Option<&Target>| Some(knowledge.models.get(target?)?.price?.cost(used?));
        let cost =
            cost(decision.to.as_ref()).zip(cost(to.as_ref())).and_then(|(was, would)| difference(was, would));
        WhatIf::Changed { from: decision.to.clone(), to, cost }
    }

    fn policy(&mut self, reference: &PolicyRef) -> Result<Arc<Policy>, NotReplayable> {
        if let Some(policy) = self.policies.get(reference) {
            return policy.clone();
        }
        let policy = match Policy::built_in(&reference.name).filter(|it| it.reference == *reference) {
            Some(policy) => Ok(Arc::new(policy)),
            None => self.read::<PolicyDocument>("policy", &reference.version).and_then(|document| {
                Policy::new(reference.clone(), document).map(Arc::new).map_err(|mistakes| {
                    let why = mistakes.first().map(ToString::to_string).unwrap_or_default();
                    NotReplayable::Unreadable { kind: "policy", hash: reference.version.clone(), why }
                })
            }),
        };
        self.policies.insert(reference.clone(), policy.clone());
        policy
    }

    fn knowledge(&mut self, version: &str) -> Result<Arc<Knowledge>, NotReplayable> {
        if let Some(knowledge) = self.knowledge.get(version) {
            return knowledge.clone();
        }
        let knowledge = self.read::<Knowledge>("catalogue", version).map(Arc::new);
        self.knowledge.insert(version.to_owned(), knowledge.clone());
        knowledge
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        kind: &'static str,
        hash: &str,
    ) -> Result<T, NotReplayable> {
        let hash = hash.to_owned();
        let Some(body) = self.documents.get(&hash) else {
            return Err(NotReplayable::Missing { kind, hash });
        };
        T::deserialize(body).map_err(|error| NotReplayable::Unreadable { kind, hash, why: error.to_string() })
    }
}

/// What a policy would have chosen from inputs that were gathered for another.
///
/// # Errors
/// What the policy looks at and the inputs do not say.
pub fn choose(
    policy: &Policy,
    knowledge: &Knowledge,
    mut inputs: Inputs,
) -> Result<Option<Target>, &'static str> {
    if let Some(missing) = missing(policy, &inputs) {
        return Err(missing);
    }
    inputs.policy = policy.reference.clone();
    inputs.judged = None;
    rule_candidates(policy, knowledge, &mut inputs);
    let Planned::Plan(planned) = plan(policy, knowledge, &inputs) else {
        return Err("a judge would be asked");
    };
    let first = planned.order.first().and_then(|at| inputs.candidates.get(usize::try_from(*at).ok()?));
    Ok(first.map(|candidate| candidate.target.clone()))
}

/// The recorded inputs, with what was known of each candidate put back.
fn informed(inputs: &Inputs, knowledge: &Knowledge) -> Inputs {
    let mut inputs = inputs.clone();
    for candidate in &mut inputs.candidates {
        candidate.facts = knowledge.models.get(&candidate.target).cloned().unwrap_or_default();
    }
    inputs
}

fn compare(decision: &Decision, inputs: &Inputs, plan: Plan) -> Replay {
    let first = plan.order.first().and_then(|at| inputs.candidates.get(usize::try_from(*at).ok()?));
    let first = first.map(|candidate| &candidate.target);
    // Who keeps the conversation when nobody may take over need not be written down.
    let asked = inputs.run.as_ref().is_some_and(|run| run.asked.is_some());
    let keeps = asked && first.is_none() && decision.to.as_ref() == inputs.holder();
    let members: Vec<&'static str> = [
        ("table", plan.table == decision.table),
        ("reason", plan.reason == decision.reason),
        ("to", first == decision.to.as_ref() || keeps),
    ]
    .into_iter()
    .filter_map(|(member, same)| (!same).then_some(member))
    .collect();
    if members.is_empty() { Replay::Same } else { Replay::Differs { members, plan: Some(Box::new(plan)) } }
}

/// What the policy looks at and the record does not say.
fn missing(policy: &Policy, inputs: &Inputs) -> Option<&'static str> {
    let needs = policy.needs(&inputs.wishes);
    if needs.task && inputs.features.task.is_none() && inputs.features.declared_task.is_none() {
        return Some("the kind of task was not recorded");
    }
    if needs.context && inputs.context.is_none() {
        return Some("the context of rules was not recorded");
    }
    if needs.latency && inputs.candidates.iter().all(|candidate| candidate.health.latency.is_none()) {
        return Some("latencies were not recorded");
    }
    if needs.scores && inputs.candidates.iter().any(|it| it.facts.scored_as.is_some() && it.quality.is_none())
    {
        return Some("the scores of the text were not recorded");
    }
    None
}

/// Exchanges the candidates that were there for the rules of the recorded policy for those of another.
/// What its rules asked for is not asked any more; what a model asked for goes to the same target.
fn rule_candidates(policy: &Policy, knowledge: &Knowledge, inputs: &mut Inputs) {
    let asked = inputs.run.as_mut().and_then(|run| run.asked.take());
    let target_of = |inputs: &Inputs, at: u32| {
        inputs.candidates.get(usize::try_from(at).ok()?).map(|candidate| candidate.target.clone())
    };
    let asked = asked.map(|asked| (target_of(inputs, asked.to), target_of(inputs, asked.from), asked.by));
    inputs.candidates.retain(|candidate| !candidate.by_rule);
    for name in policy.rule_models() {
        let known = knowledge
            .models
            .iter()
            .find(|(target, facts)| facts.aliases.contains(name) || target.to_string() == name.as_str());
        let target = known.map(|(target, _)| target.clone()).or_else(|| name.as_str().parse().ok());
        let Some(target) = target else { continue };
        if inputs.candidates.iter().all(|candidate| candidate.target != target) {
            let facts = known.map(|(_, facts)| Arc::clone(facts)).unwrap_or_default();
            inputs.candidates.push(Candidate {
                facts,
                by_rule: true,
                ..Candidate::named(name.clone(), target)
            });
        }
    }
    let Some((to, from, by)) = asked else { return };
    if inputs.current.is_none() {
        inputs.current = from.clone().map(|target| Current { target, cached_tokens: 0 });
    }
    if by == HandoffBy::Rule {
        return;
    }
    let place = |target: Option<Target>| {
        let place = inputs.candidates.iter().position(|it| Some(&it.target) == target.as_ref());
        place.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
    };
    let asked = Asked { to: place(to), from: place(from), by };
    if let Some(run) = &mut inputs.run {
        run.asked = Some(asked);
    }
}

fn difference(was: NanoUsd, would: NanoUsd) -> Option<i64> {
    i64::try_from(i128::from(would.0) - i128::from(was.0)).ok()
}

#[cfg(test)]
mod tests;
