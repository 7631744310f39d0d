//! The names that an expression may use: what each one is, and which values it can have.
//!
//! One table, read by the check, by the search for rules that cannot match, and by the evaluation.
//!
//! - Start with [`Member`].
//! - **Invariant:** the value of a member is always one that its [`Member::domain`] holds; otherwise
//!   a rule could be refused that would have matched.

use std::fmt;

use super::domain::Domain;
use crate::TaskKind;

/// The variables; each but `context` has fixed members.
pub(super) const ROOTS: [&str; 7] = ["request", "task", "context", "key", "turn", "run", "time"];

/// A variable that came later than the first policies: a macro may call its entries so all the same, or
/// policies of then could not be read any more.
pub(super) const RUN: &str = "run";

/// The variable whose members the client names.
pub(super) const CONTEXT: &str = "context";

/// What a task is called of which nothing is known.
pub(super) const UNKNOWN: &str = "unknown";

/// A member of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Surface,
    Stream,
    InputTokens,
    MaxOutputTokens,
    Tools,
    Messages,
    Images,
    Audio,
    StructuredOutput,
    Logprobs,
    Reasoning,
    Tags,
    Candidates,
    Kind,
    Declared,
    Confidence,
    Complexity,
    Languages,
    Code,
    Math,
    Key,
    Turn,
    RunTurn,
    RunHop,
    RunHandoffs,
    RunToolsDone,
    RunModel,
    Unix,
    Hour,
    Minute,
    Weekday,
}

/// The members by their names.
pub(super) const MEMBERS: [(&str, Member); 31] = [
    ("request.surface", Member::Surface),
    ("request.stream", Member::Stream),
    ("request.input_tokens", Member::InputTokens),
    ("request.max_output_tokens", Member::MaxOutputTokens),
    ("request.tools", Member::Tools),
    ("request.messages", Member::Messages),
    ("request.images", Member::Images),
    ("request.audio", Member::Audio),
    ("request.structured_output", Member::StructuredOutput),
    ("request.logprobs", Member::Logprobs),
    ("request.reasoning", Member::Reasoning),
    ("request.tags", Member::Tags),
    ("request.candidates", Member::Candidates),
    ("task.kind", Member::Kind),
    ("task.declared", Member::Declared),
    ("task.confidence", Member::Confidence),
    ("task.complexity", Member::Complexity),
    ("task.languages", Member::Languages),
    ("task.code", Member::Code),
    ("task.math", Member::Math),
    ("key.id", Member::Key),
    ("turn.number", Member::Turn),
    ("run.turn", Member::RunTurn),
    ("run.hop", Member::RunHop),
    ("run.handoffs", Member::RunHandoffs),
    ("run.tools_done", Member::RunToolsDone),
    ("run.model", Member::RunModel),
    ("time.unix", Member::Unix),
    ("time.hour", Member::Hour),
    ("time.minute", Member::Minute),
    ("time.weekday", Member::Weekday),
];

/// The paths that requests come in by.
const SURFACES: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/route",
    "/v1/runs",
    "/v1/*",
];

/// How much a task asks.
const COMPLEXITIES: [&str; 4] = ["simple", "moderate", "complex", UNKNOWN];

impl Member {
    /// The member of this name, as `variable.member`.
    pub(super) fn named(name: &str) -> Option<Self> {
        MEMBERS.into_iter().find(|(known, _)| *known == name).map(|(_, member)| member)
    }

    pub(super) fn name(self) -> &'static str {
        MEMBERS.into_iter().find(|(_, member)| *member == self).map_or(UNKNOWN, |(name, _)| name)
    }

    /// What its values are.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Surface | Self::Kind | Self::Complexity | Self::Key | Self::RunModel => Kind::Text,
            Self::Stream
            | Self::Images
            | Self::Audio
            | Self::StructuredOutput
            | Self::Logprobs
            | Self::Reasoning
            | Self::Declared
            | Self::RunToolsDone => Kind::Bool,
            Self::InputTokens
            | Self::MaxOutputTokens
            | Self::Tools
            | Self::Messages
            | Self::Turn
            | Self::RunTurn
            | Self::RunHop
            | Self::RunHandoffs
            | Self::Unix
            | Self::Hour
            | Self::Minute
            | Self::Weekday => Kind::Int,
            Self::Confidence | Self::Code | Self::Math => Kind::Double,
            Self::Tags | Self::Candidates | Self::Languages => Kind::list(Kind::Text),
        }
    }

    /// Whether it may be `null`.
    pub(super) const fn is_optional(self) -> bool {
        matches!(self, Self::MaxOutputTokens)
    }

    /// Whether the text of the request must be read for it.
    pub(super) const fn reads_task(self) -> bool {
        matches!(
            self,
            Self::Kind | Self::Confidence | Self::Complexity | Self::Languages | Self::Code | Self::Math
        )
    }

    /// The words it can be, where they are known.
    pub(super) fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Kind => Some(TaskKind::ALL.iter().map(|kind| kind.as_str()).chain([UNKNOWN]).collect()),
            Self::Complexity => Some(COMPLEXITIES.to_vec()),
            Self::Surface => Some(SURFACES.to_vec()),
            _ => None,
        }
    }

    /// Every value it can have.
    pub(super) fn domain(self) -> Domain {
        match self {
            Self::Kind => Domain::words(self.words().unwrap_or_default()),
            Self::Complexity => Domain::words(COMPLEXITIES),
            Self::Confidence | Self::Code | Self::Math => Domain::between(0.0, 1.0),
            Self::Hour => Domain::whole(0.0, 23.0),
            Self::Minute => Domain::whole(0.0, 59.0),
            Self::Weekday => Domain::whole(1.0, 7.0),
            Self::Turn | Self::RunTurn | Self::RunHop => Domain::whole(1.0, f64::INFINITY),
            Self::InputTokens | Self::Tools | Self::Messages | Self::RunHandoffs | Self::Unix => {
                Domain::whole(0.0, f64::INFINITY)
            }
            Self::MaxOutputTokens => Domain::whole(0.0, f64::INFINITY).or_null(),
            Self::Stream
            | Self::Images
            | Self::Audio
            | Self::StructuredOutput
            | Self::Logprobs
            | Self::Reasoning
            | Self::Declared
            | Self::RunToolsDone => Domain::bools(),
            Self::Surface | Self::Key | Self::RunModel => Domain::texts(),
            Self::Tags | Self::Candidates | Self::Languages => Domain::all(),
        }
    }
}

/// What the values of an expression are, as far as it shows before it is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Null,
    List(Box<Self>),
    /// It shows only when the expression is evaluated.
    Any,
}

impl Kind {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double | Self::Any)
    }

    pub(super) const fn is_bool(&self) -> bool {
        matches!(self, Self::Bool | Self::Any)
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Any)
    }

    /// Whether a value of one kind can equal one of the other.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(left), Self::List(right)) => left.meets(right),
            (left, right) => {
                left == right || (left.is_number() && right.is_number()) || left.is_any_or(right)
            }
        }
    }

    fn is_any_or(&self, other: &Self) -> bool {
        *self == Self::Any || *other == Self::Any
    }

    /// The kind that holds the values of both.
    pub(super) fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Any }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Double => "a fraction",
            Self::Text => "a text",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Any => "a value",
        })
    }
}

/// The nearest of some names to one that is none of them, if one is near.
pub(super) fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let longest = (given.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= longest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
