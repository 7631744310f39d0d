//! What a run may still use, shared by all of its parts: agents in the background draw on the same.
//!
//! A turn is taken before it is asked for, with the most that it may cost. What it used in the end takes the place
//! of that.
//!
//! - **Invariant:** what was spent and what is reserved together are never more than the budget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_model::{NanoUsd, Usage};
use baton_run::{Guard, Limits};

use crate::course::{Event, Way};
use crate::report::Turn;

/// The most agents of a run that work in the background, one after the other.
const MOST_JOBS: u32 = 32;

/// The most of them at the same time.
const MOST_AT_ONCE: u32 = 8;

/// What is left, for one part of a run.
pub(super) struct Purse {
    shared: Arc<Shared>,
    /// Which turn was taken and has not ended, with what is kept for it.
    taken: Option<u64>,
    /// What this part has used, as far as it is counted.
    counted: (u64, u64),
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
pub(super) struct Aside {
    pub(super) turns: Vec<Turn>,
    pub(super) attempts: u32,
}

impl Purse {
    pub(super) fn new(limits: &Limits) -> Self {
        let shared = Shared { limits: *limits, pot: Mutex::default() };
        Self { shared: Arc::new(shared), taken: None, counted: (0, 0) }
    }

    /// The same for another part of the run.
    pub(super) fn shared(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), taken: None, counted: (0, 0) }
    }

    fn pot(&self) -> MutexGuard<'_, Pot> {
        self.shared.pot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn that may cost so much.
    fn take(&mut self, cost: Option<NanoUsd>) -> Result<(), Guard> {
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

    /// Notes what this part of the run has used altogether.
    fn settle(&mut self, usage: Usage, spent: NanoUsd) {
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        let (before, paid) = std::mem::replace(&mut self.counted, (tokens, spent.0));
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
    /// A part that is cut off keeps nothing for itself.
    fn drop(&mut self) {
        let kept = self.taken.take().unwrap_or_default();
        let mut pot = self.pot();
        pot.reserved = pot.reserved.saturating_sub(kept);
    }
}

impl Way {
    /// Notes what the turns so far have used, here and in the background.
    pub(in crate::course) fn settle(&mut self) {
        let (usage, spent) = (self.machine.usage(), self.machine.spent());
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
    pub(in crate::course) fn take_of_all(&mut self) -> Option<Event> {
        self.agents.as_ref()?;
        let has_budget = self.machine.terms().limits.budget.is_some();
        let cost = has_budget.then(|| self.worst_case()).flatten();
        self.agents.as_mut()?.purse.take(cost).err().map(Event::Spent)
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
        assert_eq!(one.take(Some(NanoUsd(7))), Ok(()), "who is cut off keeps nothing");
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
