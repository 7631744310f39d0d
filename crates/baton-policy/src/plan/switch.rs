//! Should the conversation leave the target it is with?
//!
//! A switch costs: the prompt cache is lost, and the tone changes. So the conversation stays unless the
//! gain is above the policy's margin. Where a rule, the client or a judge names another, that is a gain
//! enough; and the plain order of a list is a wish, not a measure.

use super::fixed::ONE;
use super::order::{FirstBy, Ranked};
use super::{Case, Cell};
use crate::Order;

impl Case<'_> {
    /// Puts the current target first if the conversation should stay with it; whether it does so
    /// although another ranked higher.
    pub(super) fn stay(&self, ranked: &Ranked, cells: &[Cell], eligible: &mut [usize]) -> bool {
        let Some(current) = &self.inputs.current else { return false };
        let place = eligible.iter().position(|at| {
            self.inputs.candidates.get(*at).is_some_and(|candidate| candidate.target == current.target)
        });
        let Some(place) = place.filter(|place| *place > 0) else { return false };
        if ranked.first_by != FirstBy::Order || ranked.exploring {
            return false;
        }
        let score = |at: Option<&usize>| at.and_then(|at| cells.get(*at)).and_then(|cell| cell.score);
        let (Some(best), now) = (eligible.first(), eligible.get(place)) else { return false };
        let margin = u64::from(self.policy.document.switch_margin.min(1_000));
        let stays = match ranked.by {
            Order::Ordered | Order::Attributes | Order::Judge => false,
            Order::Weighted => true,
            // The lower the better; the cost of the current one already counts its prompt cache.
            Order::Cheapest | Order::Fastest => match (score(Some(best)), score(now)) {
                (Some(best), Some(now)) => {
                    u128::from(best) * 1_000 >= u128::from(now) * u128::from(1_000 - margin)
                }
                (best, None) => best.is_none(),
                (None, Some(_)) => false,
            },
            // The higher the better.
            Order::Balanced | Order::Strengths | Order::Auto => match (score(Some(best)), score(now)) {
                (Some(best), Some(now)) => best <= now.saturating_add(margin * ONE / 1_000),
                (best, None) => best.is_none(),
                (None, Some(_)) => false,
            },
        };
        if stays && let Some(front) = eligible.get_mut(..=place) {
            front.rotate_right(1);
        }
        stays
    }
}
