//! Makes numbers inside the bounds of a schema, and reads the bounds of lengths and counts.

use serde_json::{Map, Number, Value};

use super::All;

/// The bounds of a length or a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) least: usize,
    pub(super) most: Option<usize>,
}

/// The tightest of `min…` and `max…` over all maps, as in `minItems` and `maxItems`.
pub(super) fn limits(all: &All<'_>, what: &str) -> Limits {
    let read = |word: &str| {
        let key = format!("{word}{what}");
        let found: Vec<usize> = all
            .iter()
            .filter_map(|map| map.get(&key)?.as_f64())
            .filter(|limit| *limit >= 0.0)
            .map(|limit| {
                to_integer(limit).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
            })
            .collect();
        found
    };
    Limits { least: read("min").into_iter().max().unwrap_or(0), most: read("max").into_iter().min() }
}

/// A whole number inside the bounds.
pub(super) fn integer(all: &All<'_>, variant: usize) -> Value {
    let bounds = Bounds::read(all);
    let step = bounds.step.filter(|step| step.fract() == 0.0).unwrap_or(1.0);
    to_integer(bounds.pick(step, variant)).map_or(Value::Null, Value::from)
}

/// A number inside the bounds; whole where that is possible.
pub(super) fn number(all: &All<'_>, variant: usize) -> Value {
    let bounds = Bounds::read(all);
    let whole = bounds.pick(bounds.step.unwrap_or(1.0), variant);
    let picked = if bounds.step.is_some() || bounds.hold(whole) { whole } else { bounds.between(variant) };
    match to_integer(picked) {
        Some(whole) if picked.fract() == 0.0 => Value::from(whole),
        _ => Number::from_f64(picked).map_or(Value::Null, Value::Number),
    }
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    low: Option<Bound>,
    high: Option<Bound>,
    /// `multipleOf`.
    step: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    at: f64,
    /// Whether the bound itself is out.
    open: bool,
}

impl Bounds {
    fn read(all: &All<'_>) -> Self {
        let side = |keys: [&str; 2]| all.iter().flat_map(move |map| bounds_of(map, keys)).collect::<Vec<_>>();
        Self {
            low: side(["minimum", "exclusiveMinimum"])
                .into_iter()
                .max_by(|left, right| left.at.total_cmp(&right.at).then(left.open.cmp(&right.open))),
            high: side(["maximum", "exclusiveMaximum"])
                .into_iter()
                .min_by(|left, right| left.at.total_cmp(&right.at).then(right.open.cmp(&left.open))),
            step: all.iter().filter_map(|map| map.get("multipleOf")?.as_f64()).find(|step| *step > 0.0),
        }
    }

    /// The first multiple of `step` that the bounds allow, near 1, and `variant` steps further.
    fn pick(self, step: f64, variant: usize) -> f64 {
        let ahead = step * f64::from(u32::try_from(variant).unwrap_or(u32::MAX));
        match (self.low, self.high) {
            (Some(low), _) => {
                let start = (low.at / step).ceil() * step;
                let start = if low.open && start <= low.at { start + step } else { start };
                // Zero is what an absent value looks like, so one is the better example.
                let start = if start == 0.0 && self.hold(step) { step } else { start };
                start + ahead
            }
            (None, Some(high)) => {
                let start = (high.at / step).floor() * step;
                let start = if high.open && start >= high.at { start - step } else { start };
                let start = if start > step { step } else { start };
                if self.hold(start + ahead) { start + ahead } else { start - ahead }
            }
            (None, None) => step + ahead,
        }
    }

    fn hold(self, value: f64) -> bool {
        self.low.is_none_or(|low| value > low.at || (!low.open && value >= low.at))
            && self.high.is_none_or(|high| value < high.at || (!high.open && value <= high.at))
    }

    /// A fraction between the bounds, for when no whole number lies there.
    fn between(self, variant: usize) -> f64 {
        let part = 1.0 / f64::from(u32::try_from(variant).unwrap_or(u32::MAX).saturating_add(2));
        match (self.low, self.high) {
            (Some(low), Some(high)) => (high.at - low.at).mul_add(part, low.at),
            (Some(low), None) => low.at + part,
            (None, Some(high)) => high.at - part,
            (None, None) => part,
        }
    }
}

/// Both spellings of a bound: `exclusiveMinimum` is a number, or, in old drafts, a flag on `minimum`.
fn bounds_of(map: &Map<String, Value>, [closed, open]: [&str; 2]) -> Vec<Bound> {
    let flagged = map.get(open).and_then(Value::as_bool) == Some(true);
    let plain = map.get(closed).and_then(Value::as_f64).map(|at| Bound { at, open: flagged });
    let exclusive = map.get(open).and_then(Value::as_f64).map(|at| Bound { at, open: true });
    plain.into_iter().chain(exclusive).collect()
}

/// The whole number that this is, as far as a double tells them apart.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn to_integer(value: f64) -> Option<i64> {
    (value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}
