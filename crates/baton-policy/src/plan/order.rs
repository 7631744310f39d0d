//! Where does it stand among the others?
//!
//! Every order gives each candidate a key, the lowest first, and a figure to show. Orders that measure
//! break ties by the target's name, so that the pool's own order does not matter to them.

use std::collections::BTreeMap;

use super::fixed::{ONE, dice, doublings, ratio};
use super::{Case, Cell, Question, place, rejection, small, target};
use crate::{Candidate, JudgeFailure, Judged, Latency, Order, ReasonCode, Rejection, Stage};

/// What a model of which nothing is known is taken for.
const MIDDLING: u64 = ONE / 2;

/// How many of a hundred requests try the least known candidate.
const EXPLORED: u64 = 5;

/// How the candidates were ranked.
pub(super) struct Ranked {
    /// By which order.
    pub(super) by: Order,
    /// Whether the dice said to try the least known.
    pub(super) exploring: bool,
    /// Whether a rule or the client's wishes about providers put the first one first.
    pub(super) first_by: FirstBy,
    /// Why the judge's word did not count.
    pub(super) judge_failed: Option<JudgeFailure>,
    /// Orders that could not rank.
    pub(super) passed_over: Vec<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBy {
    Order,
    Rule,
    Providers,
}

impl Ranked {
    /// As the candidates stand.
    pub(super) const fn plain() -> Self {
        Self {
            by: Order::Ordered,
            exploring: false,
            first_by: FirstBy::Order,
            judge_failed: None,
            passed_over: Vec::new(),
        }
    }
}

impl Case<'_> {
    /// Sorts what is left, the best first.
    pub(super) fn rank(&self, cells: &mut [Cell], eligible: &mut Vec<usize>) -> Result<Ranked, Question> {
        let mut ranked = Ranked::plain();
        if eligible.len() > 1 {
            self.sort(cells, eligible, &mut ranked)?;
        }
        let by_order = eligible.first().copied();
        let wanted = &self.inputs.providers.order;
        if !wanted.is_empty() {
            eligible.sort_by_key(|at| {
                target(self.inputs, *at)
                    .and_then(|it| wanted.iter().position(|name| *name == it.provider))
                    .unwrap_or(wanted.len())
            });
            let named = eligible.first().and_then(|at| target(self.inputs, *at));
            if named.is_some_and(|it| wanted.contains(&it.provider)) {
                ranked.first_by = FirstBy::Providers;
            }
        }
        if let Some(actions) = self.actions {
            let first = eligible.first().copied();
            eligible
                .sort_by_key(|at| self.inputs.candidates.get(*at).map(|candidate| group(actions, candidate)));
            let now = eligible.first().and_then(|at| self.inputs.candidates.get(*at));
            let favoured = now.is_some_and(|it| {
                super::handoff::is_target(actions, it)
                    || place(&actions.use_models, it).is_some()
                    || place(&actions.prefer, it).is_some()
            });
            if favoured || eligible.first().copied() != first {
                ranked.first_by = FirstBy::Rule;
            }
        }
        ranked.exploring &= eligible.first().copied() == by_order;
        Ok(ranked)
    }

    fn sort(
        &self,
        cells: &mut [Cell],
        eligible: &mut Vec<usize>,
        ranked: &mut Ranked,
    ) -> Result<(), Question> {
        let mut judged = None;
        for order in self.policy.orders(&self.inputs.wishes) {
            let keys = match order {
                Order::Ordered => break,
                Order::Judge => match self.judged(eligible) {
                    Some(Ok(at)) => {
                        ranked.by = Order::Judge;
                        judged = Some(at);
                        continue;
                    }
                    Some(Err(failure)) => {
                        ranked.judge_failed = Some(failure);
                        None
                    }
                    None => match self.question(eligible) {
                        Some(question) => return Err(question),
                        None => None,
                    },
                },
                Order::Weighted => Some(self.draw(eligible)),
                Order::Cheapest => Some(self.each(eligible, |it| self.cost(it).map(|cost| (cost.0, cost.0)))),
                Order::Fastest => Some(self.fastest(eligible, ranked)),
                Order::Balanced => Some(self.balanced(eligible)),
                Order::Attributes => self.attributes(eligible),
                Order::Strengths => self.strengths(eligible),
                Order::Auto => Some(self.auto(eligible)),
            };
            let Some(keys) = keys else {
                if judged.is_none() {
                    ranked.passed_over.push(*order);
                }
                continue;
            };
            if judged.is_none() {
                ranked.by = *order;
            }
            self.apply(keys, cells, eligible);
            break;
        }
        if let Some(at) = judged {
            eligible.sort_by_key(|other| *other != at);
        }
        Ok(())
    }

    /// Sorts by key, and notes the figures.
    fn apply(&self, mut keys: Vec<Keyed>, cells: &mut [Cell], eligible: &mut Vec<usize>) {
        keys.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| target(self.inputs, a.at).cmp(&target(self.inputs, b.at)))
        });
        eligible.clear();
        for keyed in keys {
            eligible.push(keyed.at);
            if let Some(cell) = cells.get_mut(keyed.at) {
                cell.score = keyed.score;
            }
        }
    }

    /// A key for each candidate; one without a figure ranks last.
    fn each(&self, eligible: &[usize], figure: impl Fn(&Candidate) -> Option<(u64, u64)>) -> Vec<Keyed> {
        eligible
            .iter()
            .map(|at| {
                let figure = self.inputs.candidates.get(*at).and_then(&figure);
                Keyed {
                    key: figure.map_or(Key::Unknown, |(key, _)| Key::Known(key)),
                    score: figure.map(|(_, score)| score),
                    at: *at,
                }
            })
            .collect()
    }

    /// The best first: keys grow as scores fall.
    fn best(&self, eligible: &[usize], score: impl Fn(&Candidate) -> Option<u64>) -> Vec<Keyed> {
        self.each(eligible, |it| score(it).map(|score| (u64::MAX - score, score)))
    }

    /// Whether lots decide: the first order that can rank is `weighted`.
    pub(super) fn draws(&self) -> bool {
        let ranks = |order: &&Order| match order {
            Order::Judge => false,
            Order::Strengths => self.needed().is_some(),
            Order::Attributes => self.wanted() > 0,
            _ => true,
        };
        self.policy.orders(&self.inputs.wishes).iter().find(ranks) == Some(&Order::Weighted)
    }

    /// A weight of zero never wins, so it is no candidate where lots decide.
    pub(super) fn lot_rejects(&self, candidate: &Candidate) -> Option<Rejection> {
        let named = || self.actions.is_some_and(|actions| super::handoff::is_target(actions, candidate));
        (self.by_lot && self.weight(candidate) == 0 && !named())
            .then(|| rejection(Stage::Order, ReasonCode::ZeroWeight))
    }

    fn weight(&self, candidate: &Candidate) -> u64 {
        let weights = &self.policy.document.weights;
        if weights.is_empty() {
            return 1;
        }
        let found = weights.iter().find(|(name, _)| super::is_named(name, candidate));
        found.map_or(0, |(_, weight)| u64::from(*weight))
    }

    /// Draws lots until none is left.
    fn draw(&self, eligible: &[usize]) -> Vec<Keyed> {
        let weight = |at: usize| self.inputs.candidates.get(at).map_or(0, |it| self.weight(it));
        let mut left: Vec<(usize, u64)> = eligible.iter().map(|at| (*at, weight(*at))).collect();
        let mut state = self.inputs.random;
        let mut total: u64 = left.iter().map(|(_, weight)| weight).sum();
        let mut drawn = Vec::with_capacity(left.len());
        while total > 0 {
            let mut lot = dice(&mut state) % total;
            let winner = left.iter().position(|(_, weight)| match lot.checked_sub(*weight) {
                Some(rest) => {
                    lot = rest;
                    false
                }
                None => true,
            });
            let Some(winner) = winner else { break };
            let (at, weight) = left.remove(winner);
            total -= weight;
            let rank = u64::try_from(drawn.len()).unwrap_or(u64::MAX);
            drawn.push(Keyed { key: Key::Known(rank), score: Some(weight), at });
        }
        // Without a weight is only whom a rule hands over to.
        drawn.extend(left.into_iter().map(|(at, _)| Keyed { key: Key::Unknown, score: None, at }));
        drawn
    }

    /// What was never measured comes first, for there is no other way to measure it; and now and then
    /// the least measured does, so that a slow start is not for ever.
    fn fastest(&self, eligible: &[usize], ranked: &mut Ranked) -> Vec<Keyed> {
        let mut state = self.inputs.random;
        let explore = dice(&mut state) % 100 < EXPLORED;
        let latency = |it: &Candidate| it.health.latency.filter(|latency| latency.samples > 0);
        let mut keys =
            self.each(eligible, |it| Some(latency(it).map_or((0, 0), |known| (pace(&known), pace(&known)))));
        let samples = |keyed: &Keyed| {
            self.inputs.candidates.get(keyed.at).and_then(latency).map_or(0, |latency| latency.samples)
        };
        if explore
            && let Some(least) =
                keys.iter_mut().min_by_key(|keyed| (samples(keyed), target(self.inputs, keyed.at)))
        {
            least.key = Key::Known(0);
            ranked.exploring = true;
        }
        // What was never measured ranks first in any case.
        ranked.exploring |= keys.iter().any(|keyed| samples(keyed) == 0);
        keys
    }

    /// Quality, cost and speed, each against the best of the pool, and all of it less where the rate
    /// limit is nearly used up.
    fn balanced(&self, eligible: &[usize]) -> Vec<Keyed> {
        let balance = self.policy.document.balance;
        let pool = || eligible.iter().filter_map(|at| self.inputs.candidates.get(*at));
        let cheapest = pool().filter_map(|it| self.cost(it)).map(|cost| cost.0).min();
        let measured =
            |it: &Candidate| it.health.latency.filter(|latency| latency.samples > 0).map(|it| pace(&it));
        let quickest = pool().filter_map(measured).min();
        let total = u64::from(balance.quality) + u64::from(balance.cost) + u64::from(balance.speed);
        self.best(eligible, |it| {
            let cost = self.cost(it).zip(cheapest).map_or(0, |(cost, least)| ratio(least, cost.0));
            let speed = measured(it).zip(quickest).map_or(MIDDLING, |(pace, least)| ratio(least, pace));
            let quality = self.quality(it);
            let sum = quality * u64::from(balance.quality)
                + cost * u64::from(balance.cost)
                + speed * u64::from(balance.speed);
            let headroom = u64::from(it.health.headroom.unwrap_or(1_000).min(1_000));
            Some(sum / total.max(1) * (1_000 + headroom) / 2_000)
        })
    }

    /// How much of what the task wants each model offers; nothing where the task wants nothing.
    fn attributes(&self, eligible: &[usize]) -> Option<Vec<Keyed>> {
        let wants = &self.inputs.wishes.attributes;
        let total = self.wanted();
        (total > 0).then(|| {
            self.best(eligible, |it| {
                let offers = self.offers(it);
                let sum: u64 =
                    wants.iter().map(|(name, want)| u64::from(*want) * offer(offers, name) / ONE).sum();
                Some(ratio(sum, total))
            })
        })
    }

    /// How much the task wants in all.
    fn wanted(&self) -> u64 {
        self.inputs.wishes.attributes.values().map(|want| u64::from(*want)).sum()
    }

    /// What the client says that a model offers, else what is known.
    fn offers<'c>(&'c self, candidate: &'c Candidate) -> &'c BTreeMap<String, u32> {
        let named = &self.inputs.wishes.model_attributes;
        named
            .get(candidate.model.as_str())
            .or_else(|| {
                let entry = named.iter().find(|(name, _)| {
                    super::allow::is_target(name, &candidate.target)
                        || candidate.facts.aliases.iter().any(|alias| alias.as_str() == name.as_str())
                });
                entry.map(|(_, offers)| offers)
            })
            .unwrap_or(&candidate.facts.attributes)
    }

    /// What the kind of task needs; nothing where the kind is not known.
    fn strengths(&self, eligible: &[usize]) -> Option<Vec<Keyed>> {
        let needed = self.needed()?;
        Some(self.best(eligible, |it| strength(it, needed)))
    }

    /// The strengths that count for this kind of task, where it is known.
    fn needed(&self) -> Option<&[String]> {
        let kind = self.inputs.features.task_kind()?;
        self.knowledge.task_strengths.get(&kind).map(Vec::as_slice)
    }

    /// The expected quality, less what each doubling of the cost is worth.
    fn auto(&self, eligible: &[usize]) -> Vec<Keyed> {
        let per_doubling = u64::from(self.policy.document.balance.cost) * 100;
        let costs = || eligible.iter().filter_map(|at| self.cost(self.inputs.candidates.get(*at)?));
        let cheapest = costs().map(|cost| cost.0).min().unwrap_or(0).max(1);
        self.each(eligible, |it| {
            let cost = self.cost(it)?;
            let quality = it.quality.map_or_else(|| self.quality(it), u64::from);
            let worth = doublings(cost.0, cheapest).saturating_mul(per_doubling) / ONE;
            // Grows as quality less worth falls, which may be below zero.
            Some((ONE.saturating_sub(quality) + worth, quality.saturating_sub(worth)))
        })
    }

    /// What a model is good at for this kind of task, or all in all.
    fn quality(&self, candidate: &Candidate) -> u64 {
        let known = match self.needed() {
            Some(needed) => strength(candidate, needed),
            None => {
                let all = &candidate.facts.strengths;
                let sum: u64 = all.values().map(|strength| u64::from(*strength)).sum();
                u64::try_from(all.len()).ok().and_then(|count| sum.checked_div(count))
            }
        };
        known.unwrap_or(MIDDLING).min(ONE)
    }

    /// Whom the judge named, or why nobody; nothing when it was not asked.
    fn judged(&self, eligible: &[usize]) -> Option<Result<usize, JudgeFailure>> {
        Some(match self.inputs.judged.as_ref()? {
            Judged::Chose(at) => {
                eligible.iter().copied().find(|other| small(*other) == *at).ok_or(JudgeFailure::NoCandidate)
            }
            Judged::Failed(failure) => Err(*failure),
        })
    }

    /// What to ask the judge, if the policy has one.
    fn question(&self, eligible: &[usize]) -> Option<Question> {
        let judge = self.policy.document.judge.as_ref()?;
        Some(Question {
            judge: judge.model.clone(),
            timeout_ms: judge.timeout_ms,
            choices: eligible.iter().map(|at| small(*at)).collect(),
        })
    }
}

/// What candidates are sorted by: those without a figure come last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Known(u64),
    Unknown,
}

struct Keyed {
    key: Key,
    score: Option<u64>,
    at: usize,
}

/// One figure for how quick it is: mostly the usual case, partly the bad one.
const fn pace(latency: &Latency) -> u64 {
    (latency.p50_ms.saturating_mul(3).saturating_add(latency.p95_ms) / 4).saturating_add(1)
}

/// Where a rule puts a candidate: whom it hands over to first, then those to use or preferred, as the
/// rule lists them; those to be avoided last.
fn group(actions: &crate::Actions, candidate: &Candidate) -> usize {
    if super::handoff::is_target(actions, candidate) {
        return 0;
    }
    let favoured = if actions.use_models.is_empty() { &actions.prefer } else { &actions.use_models };
    let among = place(favoured, candidate)
        .unwrap_or_else(|| favoured.len() + usize::from(place(&actions.avoid, candidate).is_some()));
    among + 1
}

/// How strong a model is at what is needed, the weightiest need first; nothing where none is known.
fn strength(candidate: &Candidate, needed: &[String]) -> Option<u64> {
    let has = &candidate.facts.strengths;
    if !needed.iter().any(|name| has.contains_key(name)) {
        return None;
    }
    let mut sum = 0;
    let mut weights = 0;
    for (rank, name) in (0_u64..).zip(needed) {
        let weight = 12 / (rank + 1);
        sum += weight * has.get(name).copied().map_or(0, u64::from);
        weights += weight;
    }
    sum.checked_div(weights)
}

/// What a model offers under the name of what a task wants. A task's words that no model uses stand for
/// those that models use.
fn offer(offers: &BTreeMap<String, u32>, wanted: &str) -> u64 {
    let of = |name: &str| offers.get(name).copied().map(u64::from);
    of(wanted).unwrap_or_else(|| match wanted {
        "complexity" => of("intelligence").unwrap_or(0),
        "efficiency" => (of("speed").unwrap_or(0) + of("cost").unwrap_or(0)) / 2,
        _ => 0,
    })
}
