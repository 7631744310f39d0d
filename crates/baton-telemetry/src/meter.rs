//! Keeps the handles of metrics that every request touches, so that none is looked up by its labels.
//!
//! Each thread has its own: no lock, and a request stays on the thread that counts it. A handle is
//! made when it is first needed, so a series that never counted is not shown.
//!
//! - **Invariant:** at most [`KEPT`] entries for each thread; names come from the configuration, but
//!   a configuration may leave a provider's models open.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;

use baton_model::{Target, Usage};
use metrics::{Counter, Histogram, counter, histogram};

use crate::Metric;

/// How many targets a thread remembers; when there are more it begins anew.
const KEPT: usize = 512;

thread_local! {
    static TARGETS: RefCell<HashMap<Target, TargetMeter>> = RefCell::default();
    static REQUESTS: RefCell<HashMap<(&'static str, u16), Counter>> = RefCell::default();
}

/// The metrics of one target.
#[derive(Debug, Default)]
pub(crate) struct TargetMeter {
    succeeded: OnceCell<Counter>,
    input: OnceCell<Counter>,
    cached_input: OnceCell<Counter>,
    output: OnceCell<Counter>,
    first_content: OnceCell<Histogram>,
    duration: OnceCell<Histogram>,
}

impl TargetMeter {
    /// Hands the metrics of a target to `record`.
    pub(crate) fn of<R>(target: &Target, record: impl FnOnce(&Self) -> R) -> R {
        TARGETS.with_borrow_mut(|known| match known.get(target) {
            Some(meter) => record(meter),
            None => {
                make_room(known);
                record(known.entry(target.clone()).or_default())
            }
        })
    }

    pub(crate) fn count_success(&self, target: &Target) {
        self.succeeded.get_or_init(|| attempts(target, "ok")).increment(1);
    }

    pub(crate) fn count_tokens(&self, target: &Target, usage: &Usage) {
        for (counter, kind, tokens) in [
            (&self.input, "input", usage.input_tokens),
            (&self.cached_input, "cached_input", usage.cached_input_tokens),
            (&self.output, "output", usage.output_tokens),
        ] {
            if tokens > 0 {
                counter
                    .get_or_init(|| {
                        let (provider, model) = (target.provider.to_string(), target.model.to_string());
                        counter!(Metric::Tokens.name(), "provider" => provider, "model" => model, "type" => kind)
                    })
                    .increment(tokens);
            }
        }
    }

    pub(crate) fn first_content(&self, target: &Target) -> &Histogram {
        self.first_content.get_or_init(
            || histogram!(Metric::FirstContent.name(), "provider" => target.provider.to_string()),
        )
    }

    pub(crate) fn duration(&self, target: &Target) -> &Histogram {
        self.duration.get_or_init(
            || histogram!(Metric::AttemptDuration.name(), "provider" => target.provider.to_string()),
        )
    }
}

/// The counter of attempts that ended so.
pub(crate) fn attempts(target: &Target, result: &'static str) -> Counter {
    let (provider, model) = (target.provider.to_string(), target.model.to_string());
    counter!(Metric::Attempts.name(), "provider" => provider, "model" => model, "result" => result)
}

/// Counts a request by the path as matched and its status.
pub(crate) fn count_request(surface: &'static str, status: u16) {
    REQUESTS.with_borrow_mut(|known| {
        if !known.contains_key(&(surface, status)) {
            make_room(known);
        }
        known
            .entry((surface, status))
            .or_insert_with(
                || counter!(Metric::Requests.name(), "surface" => surface, "status" => status.to_string()),
            )
            .increment(1);
    });
}

fn make_room<K: Eq + Hash, V>(known: &mut HashMap<K, V>) {
    if known.len() >= KEPT {
        known.clear();
    }
}

#[cfg(test)]
mod tests;
