//! Counts what was good and bad in the last ten seconds, second by second.

/// As many seconds as count.
const SECONDS: u64 = 10;

/// What was good and bad lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    slots: [Slot; 10],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    second: u64,
    good: u32,
    bad: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    Good,
    Bad,
}

impl Window {
    pub(super) fn note(&mut self, at_ms: u64, sample: Sample) {
        let second = at_ms / 1_000;
        let at = usize::try_from(second % SECONDS).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        let count = match sample {
            Sample::Good => &mut slot.good,
            Sample::Bad => &mut slot.bad,
        };
        *count = count.saturating_add(1);
    }

    /// How many were good, and how many bad.
    pub(super) fn sum(&self, at_ms: u64) -> (u32, u32) {
        let now = at_ms / 1_000;
        self.slots
            .iter()
            .filter(|slot| now.saturating_sub(slot.second) < SECONDS)
            .fold((0, 0), |(good, bad), slot| (good.saturating_add(slot.good), bad.saturating_add(slot.bad)))
    }
}
