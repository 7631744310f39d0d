//! What a run may still use, shared by all of its parts: agents in the background and steps of a workflow draw on
//! the same.
//!
//! A turn is taken before it is asked for, with the most that it may cost. What it used in the end takes the place
//! of that.
//!
//! - **Invariant:** what was spent and what is reserved together are never more than the budget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_model::{NanoUsd, Usage};
use baton_run::{Guard, Limits};

use super::{Event, Way};
use crate::report::Turn;

/// The most agents of a run that work in the background, one after the other.
const MOST_JOBS: u32 = 32;

/// The most of them at the same time.
const MOST_AT_ONCE: u32 = 8;

/// What is left, for one part of a run.
pub(crate) struct Purse {
    shared: Arc<Shared>,
    /// Which turn was taken and has not ended, with what is kept for it.
    taken: Option<u64>,
    /// What this part has used, as far as it is counted.
    counted: (u64, u64),
    /// What it is a part of.
    above: Option<Box<Self>>,
}

struct Shared {
    limits: Limits,
    pot: Mutex<Pot>,
}

#[derive(Default)]
struct Pot {
    turns: u32,
    tokens: u64,
    spent: u64,
    reserved: u64,
    begun: u32,
    working: u32,
    /// What was done in the background and is not told yet.
    told: Vec<Aside>,
}

/// A turn in the background.
pub(in crate::course) struct Aside {
    pub(in crate::course) turns: Vec<Turn>,
    pub(in crate::course) attempts: u32,
}

impl Purse {
    pub(crate) fn new(limits: &Limits) -> Self {
        let shared = Shared { limits: *limits, pot: Mutex::default() };
        Self { shared: Arc::new(shared), taken: None, counted: (0, 0), above: None }
    }

    /// One of which so much is used already.
    pub(crate) fn begun(limits: &Limits, turns: u32, tokens: u64, spent: NanoUsd) -> Self {
        let purse = Self::new(limits);
        *purse.pot() = Pot { turns, tokens, spent: spent.0, ..Pot::default() };
        purse
    }

    /// A part of another one: what is taken of it is taken of that, too.
    pub(crate) fn within(mut self, above: Option<Self>) -> Self {
        self.above = above.map(Box::new);
        self
    }

    /// The same for another part of the run.
    pub(crate) fn shared(&self) -> Self {
        let above = self.above.as_ref().map(|above| Box::new(above.shared()));
        Self { shared: Arc::clone(&self.shared), taken: None, counted: (0, 0), above }
    }

    /// Notes what this part has used in another process. Those who share it know of that.
    pub(super) const fn resumed(&mut self, usage: Usage, spent: NanoUsd) {
        self.counted = (usage.input_tokens.saturating_add(usage.output_tokens), spent.0);
    }

    /// What it is a part of.
    pub(super) fn above(&mut self) -> Option<&mut Self> {
        self.above.as_deref_mut()
    }

    fn pot(&self) -> MutexGuard<'_, Pot> {
        self.shared.pot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn that may cost so much.
    fn take(&mut self, cost: Option<NanoUsd>) -> Result<(), Guard> {
        if let Some(above) = &mut self.above {
            above.take(cost)?;
        }
        let taken = self.take_here(cost);
        if let (Err(_), Some(above)) = (taken, &mut self.above) {
            above.put_back();
        }
        taken
    }

    /// Puts back what was taken for a turn that is not asked for.
    fn put_back(&mut self) {
        if let Some(kept) = self.taken.take() {
            let mut pot = self.pot();
            pot.turns = pot.turns.saturating_sub(1);
            pot.reserved = pot.reserved.saturating_sub(kept);
        }
        if let Some(above) = &mut self.above {
            above.put_back();
        }
    }

    fn take_here(&mut self, cost: Option<NanoUsd>) -> Result<(), Guard> {
        let limits = self.shared.limits;
        let mut pot = self.pot();
        if pot.turns >= limits.max_turns {
            return Err(Guard::MaxTurns);
        }
        if limits.max_tokens.is_some_and(|most| pot.tokens >= most) {
            return Err(Guard::Tokens);
        }
        let mut kept = 0;
        if let Some(budget) = limits.budget {
            // What has no price could cost anything.
            let cost = cost.ok_or(Guard::Budget)?.0;
            if pot.spent.saturating_add(pot.reserved).saturating_add(cost) > budget.0 {
                return Err(Guard::Budget);
            }
            kept = cost;
        }
        pot.turns += 1;
        pot.reserved += kept;
        drop(pot);
        self.taken = Some(kept);
        Ok(())
    }

    /// Whether this much is left for the turn that was taken.
    pub(in crate::course) fn can_pay(&self, cost: NanoUsd) -> bool {
        let Some(budget) = self.shared.limits.budget else {
            return self.above.as_ref().is_none_or(|above| above.can_pay(cost));
        };
        let pot = self.pot();
        let others = pot.reserved.saturating_sub(self.taken.unwrap_or_default());
        let is_left = pot.spent.saturating_add(others).saturating_add(cost.0) <= budget.0;
        drop(pot);
        is_left && self.above.as_ref().is_none_or(|above| above.can_pay(cost))
    }

    /// Notes what this part of the run has used altogether.
    fn settle(&mut self, usage: Usage, spent: NanoUsd) {
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        let (before, paid) = std::mem::replace(&mut self.counted, (tokens, spent.0));
        if let Some(above) = &mut self.above {
            above.settle(usage, spent);
        }
        let kept = self.taken.take().unwrap_or_default();
        let mut pot = self.pot();
        pot.tokens = pot.tokens.saturating_add(tokens.saturating_sub(before));
        pot.spent = pot.spent.saturating_add(spent.0.saturating_sub(paid));
        pot.reserved = pot.reserved.saturating_sub(kept);
    }

    /// A place for one more agent in the background; why not, where there is none.
    pub(super) fn begin_job(&self) -> Result<u32, String> {
        let mut pot = self.pot();
        if pot.begun >= MOST_JOBS {
            return Err(format!("not begun: a run has {MOST_JOBS} agents in the background at most"));
        }
        if pot.working >= MOST_AT_ONCE {
            return Err(format!(
                "not begun: {MOST_AT_ONCE} agents are at work already; wait for one of them"
            ));
        }
        pot.begun += 1;
        pot.working += 1;
        Ok(pot.begun)
    }

    pub(super) fn end_job(&self) {
        let mut pot = self.pot();
        pot.working = pot.working.saturating_sub(1);
    }

    pub(super) fn tell(&self, aside: Aside) {
        self.pot().told.push(aside);
    }

    fn told(&self) -> Vec<Aside> {
        std::mem::take(&mut self.pot().told)
    }
}

impl Drop for Purse {
    /// Nobody says what the turn cost of a part that is cut off: it counts as all that was kept for it.
    fn drop(&mut self) {
        let kept = self.taken.take().unwrap_or_default();
        let mut pot = self.pot();
        pot.reserved = pot.reserved.saturating_sub(kept);
        pot.spent = pot.spent.saturating_add(kept);
    }
}

impl Way {
    /// Notes what the turns so far have used, here and in the background.
    pub(super) fn settle(&mut self) {
        let (usage, spent) = (self.machine.usage(), self.machine.spent());
        if let Some(purse) = &mut self.keeping.purse {
            purse.settle(usage, spent);
        }
        let Some(agents) = &mut self.agents else { return };
        agents.purse.settle(usage, spent);
        if agents.tasked_by.is_some() {
            return;
        }
        for aside in agents.purse.told() {
            self.run.attempts += aside.attempts;
            self.report.absorb(aside.turns);
        }
    }

    /// Takes the turn that the machine asks for of what all parts of the run share; the event that says that
    /// nothing is left, where it is so.
    pub(super) fn take_of_all(&mut self) -> Option<Event> {
        self.purse()?;
        let has_budget = self.machine.terms().limits.budget.is_some();
        let cost = has_budget.then(|| self.worst_case()).flatten();
        self.purse()?.take(cost).err().map(Event::Spent)
    }

    /// What its turns are taken of.
    fn purse(&mut self) -> Option<&mut Purse> {
        match &mut self.agents {
            Some(agents) => Some(&mut agents.purse),
            None => self.keeping.purse.as_mut(),
        }
    }

    /// Notes what was used of the run's purse in another process.
    pub(super) fn resume_purse(&mut self) {
        let (usage, spent) = (self.machine.usage(), self.machine.spent());
        let above = match &mut self.agents {
            Some(agents) => agents.purse.above(),
            None => self.keeping.purse.as_mut(),
        };
        if let Some(above) = above {
            above.resumed(usage, spent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purse(budget: u64) -> Purse {
        Purse::new(&Limits { max_turns: 3, budget: Some(NanoUsd(budget)), ..Limits::default() })
    }

    #[test]
    fn what_others_have_reserved_cannot_be_spent() {
        let mut one = purse(10);
        let mut other = one.shared();
        assert_eq!(one.take(Some(NanoUsd(6))), Ok(()));
        assert_eq!(other.take(Some(NanoUsd(6))), Err(Guard::Budget));
        one.settle(Usage::default(), NanoUsd(3));
        assert_eq!(other.take(Some(NanoUsd(6))), Ok(()));
        assert_eq!(one.take(Some(NanoUsd(2))), Err(Guard::Budget), "three are spent and six reserved");
        drop(other);
        assert_eq!(one.take(Some(NanoUsd(2))), Err(Guard::Budget), "who is cut off may have cost it all");
        assert_eq!(one.take(Some(NanoUsd(1))), Ok(()));
    }

    #[test]
    fn a_part_takes_of_the_whole_and_puts_back_what_it_may_not_use() {
        let mut whole = purse(10);
        let mut part = purse(4).within(Some(whole.shared()));
        assert_eq!(part.take(Some(NanoUsd(5))), Err(Guard::Budget));
        assert_eq!(whole.take(Some(NanoUsd(10))), Ok(()), "nothing of what was refused is kept");
        assert_eq!(part.take(Some(NanoUsd(1))), Err(Guard::Budget));
        whole.settle(Usage::default(), NanoUsd(8));
        assert_eq!(part.take(Some(NanoUsd(2))), Ok(()));
        part.settle(Usage::default(), NanoUsd(2));
        assert_eq!(whole.take(Some(NanoUsd(1))), Err(Guard::Budget));
    }

    #[test]
    fn what_was_used_elsewhere_is_counted_once() {
        let limits = Limits { budget: Some(NanoUsd(10)), ..Limits::default() };
        let whole = Purse::begun(&limits, 1, 0, NanoUsd(6));
        let mut part = whole.shared();
        part.resumed(Usage::default(), NanoUsd(6));
        assert_eq!(part.take(Some(NanoUsd(4))), Ok(()));
        part.settle(Usage::default(), NanoUsd(7));
        assert_eq!(part.take(Some(NanoUsd(4))), Err(Guard::Budget));
        assert_eq!(part.take(Some(NanoUsd(3))), Ok(()));
    }

    #[test]
    fn what_has_no_price_could_cost_anything() {
        assert_eq!(purse(10).take(None), Err(Guard::Budget));
    }

    #[test]
    fn turns_are_counted_over_all_parts() {
        let mut one = purse(100);
        let mut other = one.shared();
        for _ in 0..2 {
            assert_eq!(one.take(Some(NanoUsd(1))), Ok(()));
            one.settle(Usage::default(), NanoUsd(0));
        }
        assert_eq!(other.take(Some(NanoUsd(1))), Ok(()));
        assert_eq!(one.take(Some(NanoUsd(1))), Err(Guard::MaxTurns));
    }

    #[test]
    fn agents_in_the_background_are_bounded() {
        let purse = purse(1);
        for _ in 0..MOST_AT_ONCE {
            assert!(purse.begin_job().is_ok());
        }
        assert!(purse.begin_job().is_err());
        for _ in MOST_AT_ONCE..MOST_JOBS {
            purse.end_job();
            assert!(purse.begin_job().is_ok());
        }
        purse.end_job();
        assert!(purse.begin_job().is_err(), "not more in all");
    }
}
