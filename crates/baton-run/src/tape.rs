//! What happened in a run, as it is written down, so that another process can go on with it.
//!
//! The machine is a function of what it was told. So a run that was cut off anywhere is played again: a new
//! machine is told the same, and says what comes next. Members are written by their names, because their
//! places change with the configuration.
//!
//! - Start with [`Tape::begin`], then [`Entry::play`] for each entry.
//! - **Invariant:** a machine that was told a tape is the one that the tape was written of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Effect, Event, Machine, Ruling};

/// What happened in a run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tape {
    /// How it began; nothing where it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What happened since, in order.
    #[serde(default)]
    pub entries: Vec<Entry>,
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Who had the conversation.
    pub active: String,
    /// Who waited for it, in the machine's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// From whom a rule had moved it, before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_from: Option<String>,
}

/// One thing that a machine was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// What came of an effect.
    Event(Event),
    /// The rules gave the conversation to this member.
    Goes(String),
    /// This member answered the turn in the place of the active one.
    Took(String),
    /// An agent came to work, and has these tools.
    Equipped {
        /// Its name.
        member: String,
        /// The tools that the gateway runs for it.
        tools: Vec<String>,
    },
    /// No more turns than these.
    Limited(u32),
    /// The variables of the run are these. Who carries it out knows what follows from them.
    Context(Map<String, Value>),
}

/// Why a run cannot be played again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapeError {
    /// Somebody has had the conversation who is not there any more.
    NoSuchMember(String),
    /// What was written does not follow from what was written before.
    DoesNotFit,
}

impl std::fmt::Display for TapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchMember(name) => write!(f, "`{name}` took part in the run and is not there any more"),
            Self::DoesNotFit => {
                f.write_str("what was written of the run does not fit its configuration any more")
            }
        }
    }
}

impl std::error::Error for TapeError {}

impl Start {
    /// The beginning of a machine's run.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let members = &machine.terms().members;
        // A rule's move before the first turn is in the history already.
        let first = machine.moves().first();
        Self {
            active: members.name(machine.active()).to_owned(),
            waiting: machine.waiting().map(|member| members.name(member).to_owned()).collect(),
            came_from: first.map(|first| members.name(first.from).to_owned()),
        }
    }
}

impl Tape {
    /// Has a new machine begin as the tape does.
    ///
    /// # Errors
    /// When a member is not there any more.
    pub fn begin(&self, machine: &mut Machine) -> Result<Effect, TapeError> {
        if let Some(start) = &self.start {
            let place = |name: &String| place(machine, name);
            let active = place(&start.active)?;
            let waiting: Vec<usize> = start.waiting.iter().map(place).collect::<Result<_, _>>()?;
            let came_from = start.came_from.as_ref().map(place).transpose()?;
            machine.took_over(active);
            machine.resume(waiting);
            if let Some(from) = came_from.filter(|_| machine.moves().is_empty()) {
                machine.came_from(from);
            }
        }
        Ok(machine.step(Event::Begin))
    }
}

impl Entry {
    /// An event as it is written, before the machine is told of it.
    #[must_use]
    pub fn of(event: &Event, machine: &Machine) -> Self {
        let members = &machine.terms().members;
        match event {
            Event::Ruled(Ruling::Go(to)) if *to < members.len() => Self::Goes(members.name(*to).to_owned()),
            // It goes nowhere.
            Event::Ruled(Ruling::Go(_)) => Self::Event(Event::Ruled(Ruling::Stay)),
            event => Self::Event(event.clone()),
        }
    }

    /// Tells a machine; what follows from it, where something does.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn play(&self, machine: &mut Machine) -> Result<Option<Effect>, TapeError> {
        let event = match self {
            Self::Event(event) => event.clone(),
            Self::Goes(name) => Event::Ruled(Ruling::Go(place(machine, name)?)),
            Self::Took(name) => {
                machine.took_over(place(machine, name)?);
                return Ok(None);
            }
            Self::Equipped { member, tools } => {
                machine.equip(place(machine, member)?, tools.clone());
                return Ok(None);
            }
            Self::Limited(most) => {
                machine.limit_turns(*most);
                return Ok(None);
            }
            Self::Context(_) => return Ok(None),
        };
        let failed = event == Event::Failed;
        match machine.step(event) {
            Effect::Fail if !failed => Err(TapeError::DoesNotFit),
            effect => Ok(Some(effect)),
        }
    }
}

fn place(machine: &Machine, name: &str) -> Result<usize, TapeError> {
    machine.terms().members.place(name).ok_or_else(|| TapeError::NoSuchMember(name.to_owned()))
}
