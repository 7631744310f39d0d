//! Sets of values: which ones an expression leaves to a name.
//!
//! A set is kept by kind of value (null, yes, no, numbers, texts) and may hold more than it should,
//! never less. So a set that is empty proves that nothing fits.

use std::collections::BTreeSet;

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Self>),
}

impl Constant {
    /// The number it is, where whole numbers next to it are told apart.
    #[expect(clippy::cast_precision_loss, reason = "a number that is not exact is beyond the limit")]
    fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(number) => *number as f64,
            Self::Double(number) => *number,
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) => return None,
        };
        (number.abs() < EXACT).then_some(number)
    }
}

/// Below it, an `f64` tells a whole number from the next.
const EXACT: f64 = 4_503_599_627_370_496.0;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The one that holds exactly when this one does not.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }

    /// The one that says the same of the two values in the other order.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    pub(super) const fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// A set of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Domain {
    null: bool,
    yes: bool,
    no: bool,
    numbers: Option<Range>,
    texts: Texts,
}

/// Numbers between two, without some.
#[derive(Clone, Debug, PartialEq)]
struct Range {
    low: Bound,
    high: Bound,
    is_whole: bool,
    holes: Vec<f64>,
}

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound {
    at: f64,
    is_in: bool,
}

/// Texts: just these, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Texts {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Domain {
    const NONE: Self =
        Self { null: false, yes: false, no: false, numbers: None, texts: Texts::Only(BTreeSet::new()) };

    pub(super) fn all() -> Self {
        Self {
            null: true,
            yes: true,
            no: true,
            numbers: Some(Range::all()),
            texts: Texts::AllBut(BTreeSet::new()),
        }
    }

    pub(super) fn bools() -> Self {
        Self { yes: true, no: true, ..Self::NONE }
    }

    pub(super) fn only_bool(is: bool) -> Self {
        Self { yes: is, no: !is, ..Self::NONE }
    }

    pub(super) fn texts() -> Self {
        Self { texts: Texts::AllBut(BTreeSet::new()), ..Self::NONE }
    }

    pub(super) fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        Self { texts: Texts::Only(words.into_iter().map(str::to_owned).collect()), ..Self::NONE }
    }

    pub(super) fn between(low: f64, high: f64) -> Self {
        Self { numbers: Some(Range::between(low, high)), ..Self::NONE }
    }

    pub(super) fn whole(low: f64, high: f64) -> Self {
        Self { numbers: Some(Range { is_whole: true, ..Range::between(low, high) }), ..Self::NONE }
    }

    pub(super) fn or_null(self) -> Self {
        Self { null: true, ..self }
    }

    pub(super) fn not_null() -> Self {
        Self { null: false, ..Self::all() }
    }

    /// The values for which a comparison with a constant holds.
    pub(super) fn satisfying(comparison: Comparison, constant: &Constant) -> Self {
        match comparison {
            Comparison::Equal => Self::equal_to(constant),
            Comparison::NotEqual => Self::other_than(constant),
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
                match constant {
                    Constant::Int(_) | Constant::Double(_) => Self {
                        numbers: Some(
                            constant
                                .number()
                                .map_or_else(Range::all, |number| Range::ordered(comparison, number)),
                        ),
                        ..Self::NONE
                    },
                    Constant::Text(_) => Self::texts(),
                    Constant::Bool(_) => Self::bools(),
                    Constant::Null | Constant::List(_) => Self::NONE,
                }
            }
        }
    }

    fn equal_to(constant: &Constant) -> Self {
        match constant {
            Constant::Null => Self::NONE.or_null(),
            Constant::Bool(is) => Self::only_bool(*is),
            Constant::Int(_) | Constant::Double(_) => Self {
                numbers: Some(
                    constant.number().map_or_else(Range::all, |number| Range::between(number, number)),
                ),
                ..Self::NONE
            },
            Constant::Text(text) => Self::words([text.as_str()]),
            Constant::List(_) => Self::all(),
        }
    }

    fn other_than(constant: &Constant) -> Self {
        let all = Self::all();
        match constant {
            Constant::Null => Self { null: false, ..all },
            Constant::Bool(is) => Self { yes: !is, no: *is, ..all },
            Constant::Int(_) | Constant::Double(_) => {
                let holes = constant.number().into_iter().collect();
                Self { numbers: Some(Range { holes, ..Range::all() }), ..all }
            }
            Constant::Text(text) => Self { texts: Texts::AllBut([text.clone()].into()), ..all },
            Constant::List(_) => all,
        }
    }

    /// The values in both sets.
    pub(super) fn meet(&self, other: &Self) -> Self {
        Self {
            null: self.null && other.null,
            yes: self.yes && other.yes,
            no: self.no && other.no,
            numbers: match (&self.numbers, &other.numbers) {
                (Some(left), Some(right)) => left.meet(right),
                _ => None,
            },
            texts: self.texts.meet(&other.texts),
        }
    }

    /// At least the values in one of the sets.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self {
            null: self.null || other.null,
            yes: self.yes || other.yes,
            no: self.no || other.no,
            numbers: match (&self.numbers, &other.numbers) {
                (Some(left), Some(right)) => Some(left.join(right)),
                (one, None) | (None, one) => one.clone(),
            },
            texts: self.texts.join(&other.texts),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Where its numbers lie, as half a sentence, when it holds nothing else.
    pub(super) fn bounds(&self) -> Option<String> {
        let range = self.numbers.as_ref()?;
        Some(match (range.low.at.is_finite(), range.high.at.is_finite()) {
            (true, true) => format!("is between {} and {}", range.low.at, range.high.at),
            (true, false) => format!("is never below {}", range.low.at),
            (false, true) => format!("is never above {}", range.high.at),
            (false, false) => return None,
        })
    }
}

impl Range {
    fn all() -> Self {
        Self::between(f64::NEG_INFINITY, f64::INFINITY)
    }

    fn between(low: f64, high: f64) -> Self {
        Self {
            low: Bound { at: low, is_in: true },
            high: Bound { at: high, is_in: true },
            is_whole: false,
            holes: Vec::new(),
        }
    }

    fn ordered(comparison: Comparison, number: f64) -> Self {
        let open = Bound { at: number, is_in: false };
        let closed = Bound { at: number, is_in: true };
        let all = Self::all();
        match comparison {
            Comparison::Less => Self { high: open, ..all },
            Comparison::LessOrEqual => Self { high: closed, ..all },
            Comparison::Greater => Self { low: open, ..all },
            Comparison::GreaterOrEqual => Self { low: closed, ..all },
            Comparison::Equal | Comparison::NotEqual => all,
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        let mut holes = self.holes.clone();
        holes.extend(&other.holes);
        let tighter = |left: Bound, right: Bound, right_wins: bool| match (left.at == right.at, right_wins) {
            (true, _) => Bound { is_in: left.is_in && right.is_in, ..left },
            (false, true) => right,
            (false, false) => left,
        };
        Self {
            low: tighter(self.low, other.low, other.low.at > self.low.at),
            high: tighter(self.high, other.high, other.high.at < self.high.at),
            is_whole: self.is_whole || other.is_whole,
            holes,
        }
        .trimmed()
    }

    /// The same with its ends moved inwards to values that it holds, or nothing when there are none.
    fn trimmed(mut self) -> Option<Self> {
        loop {
            if self.is_whole {
                self.low = inward(self.low, f64::ceil, 1.0);
                self.high = inward(self.high, f64::floor, -1.0);
            }
            if self.low.at > self.high.at {
                return None;
            }
            if self.low.at == self.high.at && !(self.low.is_in && self.high.is_in) {
                return None;
            }
            let (low, high) = (self.low, self.high);
            if self.holes.contains(&low.at) {
                self.low.is_in = false;
            }
            if self.holes.contains(&high.at) {
                self.high.is_in = false;
            }
            if (self.low, self.high) == (low, high) {
                return Some(self);
            }
        }
    }

    fn join(&self, other: &Self) -> Self {
        let wider = |left: Bound, right: Bound, right_wins: bool| match (left.at == right.at, right_wins) {
            (true, _) => Bound { is_in: left.is_in || right.is_in, ..left },
            (false, true) => right,
            (false, false) => left,
        };
        let holds = |range: &Self, number: f64| {
            !range.holes.contains(&number) && range.low.at <= number && number <= range.high.at
        };
        Self {
            low: wider(self.low, other.low, other.low.at < self.low.at),
            high: wider(self.high, other.high, other.high.at > self.high.at),
            is_whole: self.is_whole && other.is_whole,
            holes: [(self, other), (other, self)]
                .into_iter()
                .flat_map(|(one, another)| {
                    one.holes.iter().copied().filter(move |hole| !holds(another, *hole))
                })
                .collect(),
        }
    }
}

/// An end of a range of whole numbers, at a whole number that is in it.
fn inward(bound: Bound, round: fn(f64) -> f64, step: f64) -> Bound {
    let at = round(bound.at);
    if at == bound.at && !bound.is_in && at.is_finite() {
        Bound { at: at + step, is_in: true }
    } else {
        Bound { at, is_in: true }
    }
}

impl Texts {
    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(left & right),
            (Self::Only(only), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(only)) => {
                Self::Only(only - but)
            }
            (Self::AllBut(left), Self::AllBut(right)) => Self::AllBut(left | right),
        }
    }

    fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(left | right),
            (Self::Only(only), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(only)) => {
                Self::AllBut(but - only)
            }
            (Self::AllBut(left), Self::AllBut(right)) => Self::AllBut(left & right),
        }
    }
}
