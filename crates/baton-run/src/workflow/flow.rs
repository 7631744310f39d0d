//! A workflow on its way: which steps are to be asked now, and what their answers lead to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::report::{CheckNote, CheckThen, Choice, ChoiceBy, StepRecord};
use super::template::{Piece, Template, variable, written};
use super::vote::{ballot, majority, verdict};
use super::{Branches, Inquiry, Kind, OnBranchError, Tie, Workflow, WorkflowMistake};
use crate::{OnInvalid, Validation};

/// The longest input of a step once its template is filled in.
const LONGEST_INPUT: usize = 4 << 20;

/// A workflow on its way. It can be written down between any two of its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    pub(super) workflow: Workflow,
    input: String,
    context: Map<String, Value>,
    pub(super) steps: Vec<StepNow>,
}

/// A step on its way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StepNow {
    pub(super) state: State,
    input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) record: StepRecord,
    /// How often it was asked.
    pub(super) attempts: u32,
    /// How often it was asked again because its answer was not right.
    repeats: u32,
    /// Whether somebody else is asked now, because the first one's answer was not right.
    handed_over: bool,
    /// The last answer that was not right, and why.
    wrong: Option<(String, String)>,
    pub(super) choice: Option<Choice>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It was not begun, or is to be asked once more.
    #[default]
    Waiting,
    /// It holds others, which are on their way.
    Open,
    /// It was asked, or its answer is being looked at.
    Asked,
    /// It has answered, and its answer is to be looked at.
    Answered,
    /// Its answer is being looked at.
    Checked,
    Done,
    Failed(StepFailure),
    /// Nobody waits for it any more.
    GivenUp,
}

/// Why a step came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl StepFailure {
    /// A failure with its word and a sentence.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowEffect {
    /// Ask somebody.
    Ask(Box<AskedStep>),
    /// Look at an answer.
    Check(Box<CheckedStep>),
    /// Nobody waits for this step any more.
    Drop {
        /// The step.
        step: usize,
    },
}

/// A step that is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedStep {
    /// The step, by its place.
    pub step: usize,
    /// How often it is asked with this time, from 1.
    pub attempt: u32,
    /// Its name.
    pub name: String,
    /// Whom, and with what.
    pub inquiry: Inquiry,
    /// What it is asked.
    pub input: String,
    /// Its last answer that was not right, and why.
    pub wrong: Option<(String, String)>,
}

/// An answer that is to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedStep {
    /// The step, by its place.
    pub step: usize,
    /// Which of its attempts.
    pub attempt: u32,
    /// Its name.
    pub name: String,
    /// What the answer has to be.
    pub validation: Validation,
    /// What was asked.
    pub input: String,
    /// The answer.
    pub output: String,
}

/// What a step said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepAnswer {
    /// Its text.
    pub output: String,
    /// What else is to be told of it.
    pub record: StepRecord,
}

/// How a workflow ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// With this text.
    Done(String),
    /// Not as it should.
    Failed(StepFailure),
}

/// An event of a step that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAwaited;

impl Flow {
    /// A workflow at its beginning.
    ///
    /// # Errors
    /// The first variable that the run does not bring.
    pub fn begin(
        workflow: Workflow,
        input: impl Into<String>,
        mut context: Map<String, Value>,
    ) -> Result<Self, WorkflowMistake> {
        for (name, default) in &workflow.context {
            if context.contains_key(name) {
                continue;
            }
            let Some(default) = default else {
                return Err(WorkflowMistake {
                    path: format!("context.{name}"),
                    message: format!("the workflow `{}` needs this variable", workflow.name),
                    hint: None,
                });
            };
            context.insert(name.clone(), default.clone());
        }
        let steps = workflow.nodes.iter().map(|_| StepNow::default()).collect();
        Ok(Self { workflow, input: input.into(), context, steps })
    }

    /// What is to be done now. Each effect is given out once.
    pub fn due(&mut self) -> Vec<FlowEffect> {
        let mut effects = Vec::new();
        self.advance(0, &mut effects);
        effects
    }

    /// A step was answered.
    ///
    /// # Errors
    /// Where nobody waits for that.
    pub fn answered(&mut self, step: usize, attempt: u32, answer: StepAnswer) -> Result<(), NotAwaited> {
        let is_checked = self.validation(step).is_some();
        let now = self.awaited(step, attempt, &State::Asked)?;
        now.record.absorb(answer.record);
        now.output = Some(answer.output);
        now.state = if is_checked { State::Answered } else { State::Done };
        Ok(())
    }

    /// A step came to nothing. What is to be told of it is told all the same.
    ///
    /// # Errors
    /// Where nobody waits for that.
    pub fn failed(
        &mut self,
        step: usize,
        attempt: u32,
        failure: StepFailure,
        record: StepRecord,
    ) -> Result<(), NotAwaited> {
        let now = self.awaited(step, attempt, &State::Asked)?;
        now.record.absorb(record);
        now.state = State::Failed(failure);
        Ok(())
    }

    /// An answer was looked at: it is right, or it is not, and why. `record` tells of what that took.
    ///
    /// # Errors
    /// Where nobody waits for that.
    pub fn checked(
        &mut self,
        step: usize,
        attempt: u32,
        wrong: Option<String>,
        record: StepRecord,
    ) -> Result<(), NotAwaited> {
        let then = self.validation(step).map(|validation| validation.on_failure.clone());
        let now = self.awaited(step, attempt, &State::Checked)?;
        now.record.absorb(record);
        let (Some(why), Some(then)) = (wrong, then) else {
            now.state = State::Done;
            return Ok(());
        };
        let then = match then {
            OnInvalid::Retry { times } if now.repeats < times => CheckThen::Retry,
            OnInvalid::Handoff { .. } if !now.handed_over => CheckThen::Handoff,
            OnInvalid::Retry { .. } | OnInvalid::Handoff { .. } | OnInvalid::Fail => CheckThen::Fail,
        };
        now.record.checks.push(CheckNote { attempt, why: why.clone(), then });
        match then {
            CheckThen::Fail => now.state = State::Failed(StepFailure::new("validation_failed", why)),
            CheckThen::Retry | CheckThen::Handoff => {
                now.repeats += 1;
                now.handed_over |= then == CheckThen::Handoff;
                now.wrong = Some((now.output.take().unwrap_or_default(), why));
                now.state = State::Waiting;
            }
        }
        Ok(())
    }

    /// What was under way is not any more: somebody else goes on. The same attempts are due once more; who carries
    /// them out knows how far they had come.
    pub fn resume(&mut self) {
        for step in &mut self.steps {
            match step.state {
                State::Asked => {
                    step.state = State::Waiting;
                    step.attempts = step.attempts.saturating_sub(1);
                }
                State::Checked => step.state = State::Answered,
                _ => {}
            }
        }
    }

    /// The attempts that are under way: the step, which attempt, and whether its answer is being looked at.
    pub fn under_way(&self) -> impl Iterator<Item = (usize, u32, bool)> {
        self.steps.iter().enumerate().filter_map(|(at, step)| match step.state {
            State::Asked => Some((at, step.attempts, false)),
            State::Checked => Some((at, step.attempts, true)),
            _ => None,
        })
    }

    /// What it carries out.
    #[must_use]
    pub const fn workflow(&self) -> &Workflow {
        &self.workflow
    }

    /// Ends it, whatever its steps are doing.
    pub fn end_with(&mut self, failure: StepFailure) {
        if self.end().is_none() {
            self.fail(0, failure, &mut Vec::new());
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<FlowEnd> {
        let root = self.steps.first()?;
        match &root.state {
            State::Done => Some(FlowEnd::Done(root.output.clone().unwrap_or_default())),
            State::Failed(failure) => Some(FlowEnd::Failed(failure.clone())),
            _ => None,
        }
    }

    fn awaited(&mut self, step: usize, attempt: u32, state: &State) -> Result<&mut StepNow, NotAwaited> {
        let now = self.steps.get_mut(step);
        now.filter(|now| now.state == *state && now.attempts == attempt).ok_or(NotAwaited)
    }

    fn validation(&self, step: usize) -> Option<&Validation> {
        match &self.workflow.nodes.get(step)?.kind {
            Kind::Ask(inquiry) => inquiry.validation.as_ref(),
            Kind::Sequence { .. } | Kind::Parallel { .. } | Kind::Consensus { .. } => None,
        }
    }

    pub(super) fn state(&self, at: usize) -> &State {
        self.steps.get(at).map_or(&State::GivenUp, |step| &step.state)
    }

    pub(super) fn output(&self, at: usize) -> Option<&str> {
        self.steps.get(at)?.output.as_deref()
    }

    pub(super) fn name(&self, at: usize) -> &str {
        self.workflow.nodes.get(at).map_or("", |node| node.name.as_str())
    }

    fn set(&mut self, at: usize, state: State) {
        if let Some(step) = self.steps.get_mut(at) {
            step.state = state;
        }
    }

    /// Brings a step as far as it can go without an answer.
    fn advance(&mut self, at: usize, effects: &mut Vec<FlowEffect>) {
        if *self.state(at) == State::Waiting && !self.fill_in(at, effects) {
            return;
        }
        let Some(node) = self.workflow.nodes.get(at) else { return };
        match &node.kind {
            Kind::Ask(_) => self.ask(at, effects),
            Kind::Sequence { steps } if *self.state(at) == State::Open => {
                let steps = steps.clone();
                self.in_order(at, &steps, effects);
            }
            Kind::Parallel { branches, synthesis } if *self.state(at) == State::Open => {
                let (branches, synthesis) = (branches.clone(), *synthesis);
                self.side_by_side(at, &branches, synthesis, effects);
            }
            Kind::Consensus { voters, judge, tie } if *self.state(at) == State::Open => {
                let (voters, judge, tie) = (voters.clone(), *judge, *tie);
                self.vote(at, &voters, judge, tie, effects);
            }
            Kind::Sequence { .. } | Kind::Parallel { .. } | Kind::Consensus { .. } => {}
        }
    }

    /// Fills a step's template in when it begins.
    fn fill_in(&mut self, at: usize, effects: &mut Vec<FlowEffect>) -> bool {
        let Some(node) = self.workflow.nodes.get(at) else { return false };
        let is_inquiry = matches!(node.kind, Kind::Ask(_));
        let is_new = self.steps.get(at).is_some_and(|step| step.input.is_none());
        let input = is_new.then(|| if at == 0 { self.input.clone() } else { self.filled(&node.input) });
        if input.as_ref().is_some_and(|input| input.len() > LONGEST_INPUT) {
            let message = format!("what the step would be asked is longer than {LONGEST_INPUT} bytes");
            self.fail(at, StepFailure::new("input_too_long", message), effects);
            return false;
        }
        if let Some(step) = self.steps.get_mut(at) {
            step.input = input.or_else(|| step.input.take());
            if !is_inquiry {
                step.state = State::Open;
            }
        }
        true
    }

    fn filled(&self, template: &Template) -> String {
        let mut text = String::new();
        for piece in &template.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Input(at) => {
                    let input = self.steps.get(*at).and_then(|step| step.input.as_deref());
                    text.push_str(input.unwrap_or(&self.input));
                }
                Piece::Output(at) => text.push_str(&self.said(*at)),
                Piece::Branches(at) => text.push_str(&self.all_said(*at)),
                Piece::Context(way) => {
                    text.push_str(&variable(&self.context, way).map(written).unwrap_or_default());
                }
            }
        }
        text
    }

    /// What a step said, or that it said nothing.
    fn said(&self, at: usize) -> String {
        match (self.state(at), self.output(at)) {
            (State::Done, Some(output)) => output.to_owned(),
            _ => "(no answer)".to_owned(),
        }
    }

    /// What the branches of a step said: under their names, or numbered for a judge.
    fn all_said(&self, at: usize) -> String {
        match self.workflow.nodes.get(at).map(|node| &node.kind) {
            Some(Kind::Parallel { branches, .. }) => {
                let section = |at: &usize| format!("## {}\n\n{}", short(self.name(*at)), self.said(*at));
                branches.steps.iter().map(section).collect::<Vec<_>>().join("\n\n")
            }
            Some(Kind::Consensus { voters, .. }) => ballot(self.votes(voters).iter().map(|(_, vote)| *vote)),
            _ => String::new(),
        }
    }

    /// The votes that were given, with their voters.
    fn votes(&self, voters: &Branches) -> Vec<(usize, &str)> {
        let done = |at: &usize| (*self.state(*at) == State::Done).then_some(*at);
        voters.steps.iter().filter_map(done).filter_map(|at| Some((at, self.output(at)?))).collect()
    }

    fn ask(&mut self, at: usize, effects: &mut Vec<FlowEffect>) {
        let Some(node) = self.workflow.nodes.get(at) else { return };
        let (Kind::Ask(inquiry), Some(step)) = (&node.kind, self.steps.get_mut(at)) else { return };
        match step.state {
            State::Waiting => {
                step.attempts += 1;
                step.state = State::Asked;
                let mut inquiry = inquiry.clone();
                if let Some(Validation { on_failure: OnInvalid::Handoff { to }, .. }) = &inquiry.validation
                    && step.handed_over
                {
                    inquiry.asks = to.clone();
                }
                effects.push(FlowEffect::Ask(Box::new(AskedStep {
                    step: at,
                    attempt: step.attempts,
                    name: node.name.clone(),
                    inquiry,
                    input: step.input.clone().unwrap_or_default(),
                    wrong: step.wrong.clone(),
                })));
            }
            State::Answered => {
                let Some(validation) = inquiry.validation.clone() else {
                    step.state = State::Done;
                    return;
                };
                step.state = State::Checked;
                effects.push(FlowEffect::Check(Box::new(CheckedStep {
                    step: at,
                    attempt: step.attempts,
                    name: node.name.clone(),
                    validation,
                    input: step.input.clone().unwrap_or_default(),
                    output: step.output.clone().unwrap_or_default(),
                })));
            }
            State::Open | State::Asked | State::Checked | State::Done | State::Failed(_) | State::GivenUp => {
            }
        }
    }

    fn in_order(&mut self, at: usize, steps: &[usize], effects: &mut Vec<FlowEffect>) {
        for step in steps {
            self.advance(*step, effects);
            match self.state(*step) {
                State::Done => {}
                State::Failed(failure) => {
                    let failure = failure.clone();
                    return self.fail(at, failure, effects);
                }
                _ => return,
            }
        }
        let output = steps.last().and_then(|last| self.output(*last)).map(ToOwned::to_owned);
        self.end_step(at, output);
    }

    /// Brings all branches on. Whether all of them have ended, with enough of them well.
    fn branches(&mut self, at: usize, branches: &Branches, effects: &mut Vec<FlowEffect>) -> bool {
        for step in &branches.steps {
            let is_new = *self.state(*step) == State::Waiting
                && self.steps.get(*step).is_some_and(|step| step.attempts == 0);
            let under_way = branches.steps.iter().filter(|step| self.is_under_way(**step)).count();
            if !is_new || under_way < branches.max_parallel {
                self.advance(*step, effects);
            }
            if let Some(failure) = self.broken(branches) {
                self.fail(at, failure, effects);
                return false;
            }
        }
        branches.steps.iter().all(|step| matches!(self.state(*step), State::Done | State::Failed(_)))
    }

    fn is_under_way(&self, at: usize) -> bool {
        match self.state(at) {
            State::Open | State::Asked | State::Answered | State::Checked => true,
            // Its answer was not right: it keeps its place.
            State::Waiting => self.steps.get(at).is_some_and(|step| step.attempts > 0),
            State::Done | State::Failed(_) | State::GivenUp => false,
        }
    }

    /// Why steps side by side cannot come to anything more, if they cannot.
    fn broken(&self, branches: &Branches) -> Option<StepFailure> {
        let failed = branches.steps.iter().filter_map(|step| match self.state(*step) {
            State::Failed(failure) => Some((*step, failure)),
            _ => None,
        });
        let failed: Vec<(usize, &StepFailure)> = failed.collect();
        let (first, failure) = failed.first()?;
        let left = branches.steps.len() - failed.len();
        let told = || format!("`{}` failed: {}", self.name(*first), failure.message);
        match branches.on_error {
            OnBranchError::Fail => Some(StepFailure::new("branch_failed", told())),
            OnBranchError::Skip if left == 0 => {
                Some(StepFailure::new("branch_failed", format!("every branch failed; {}", told())))
            }
            OnBranchError::Quorum(wanted) if left < wanted => Some(StepFailure::new(
                "quorum_missed",
                format!("{wanted} of {} branches had to answer; {}", branches.steps.len(), told()),
            )),
            OnBranchError::Skip | OnBranchError::Quorum(_) => None,
        }
    }

    fn side_by_side(
        &mut self,
        at: usize,
        branches: &Branches,
        synthesis: Option<usize>,
        effects: &mut Vec<FlowEffect>,
    ) {
        if !self.branches(at, branches, effects) {
            return;
        }
        let Some(synthesis) = synthesis else {
            let output = self.all_said(at);
            return self.end_step(at, Some(output));
        };
        self.advance(synthesis, effects);
        match self.state(synthesis) {
            State::Done => {
                let output = self.output(synthesis).map(ToOwned::to_owned);
                self.end_step(at, output);
            }
            State::Failed(failure) => {
                let failure = failure.clone();
                self.fail(at, failure, effects);
            }
            _ => {}
        }
    }

    fn vote(&mut self, at: usize, voters: &Branches, judge: usize, tie: Tie, effects: &mut Vec<FlowEffect>) {
        if !self.branches(at, voters, effects) {
            return;
        }
        if self.votes(voters).len() > 1 {
            self.advance(judge, effects);
        } else {
            self.set(judge, State::GivenUp);
        }
        let votes = self.votes(voters);
        let texts = || votes.iter().map(|(_, vote)| *vote);
        let judged = match self.state(judge) {
            State::Done => self.output(judge).and_then(|said| verdict(said, votes.len())),
            State::Failed(_) => None,
            State::GivenUp => {
                let only = votes.first().map(|(voter, vote)| (*voter, (*vote).to_owned()));
                return self.choose(at, only, ChoiceBy::OnlyVote, None, effects);
            }
            _ => return,
        };
        let (place, by, reason) = match judged {
            Some(verdict) => (Some(verdict.vote), ChoiceBy::Judge, verdict.reason),
            None => {
                let place = match tie {
                    Tie::First => Some(0),
                    Tie::Majority => majority(texts()),
                    Tie::Fail => None,
                };
                (place, ChoiceBy::Tie(tie), None)
            }
        };
        let chosen =
            place.and_then(|place| votes.get(place)).map(|(voter, vote)| (*voter, (*vote).to_owned()));
        self.choose(at, chosen, by, reason, effects);
    }

    /// Ends a vote with the choice that was made.
    fn choose(
        &mut self,
        at: usize,
        chosen: Option<(usize, String)>,
        by: ChoiceBy,
        reason: Option<String>,
        effects: &mut Vec<FlowEffect>,
    ) {
        let Some((voter, vote)) = chosen else {
            let message = "the judge chose none of the answers, and the rule for a tie is `fail`";
            return self.fail(at, StepFailure::new("no_choice", message), effects);
        };
        let choice = Choice { step: self.name(voter).to_owned(), by, reason };
        if let Some(step) = self.steps.get_mut(at) {
            step.choice = Some(choice);
        }
        self.end_step(at, Some(vote));
    }

    fn end_step(&mut self, at: usize, output: Option<String>) {
        if let Some(step) = self.steps.get_mut(at) {
            step.output = output;
            step.state = State::Done;
        }
    }

    /// Ends a step, and all that is under way for it.
    fn fail(&mut self, at: usize, failure: StepFailure, effects: &mut Vec<FlowEffect>) {
        self.set(at, State::Failed(failure));
        let parents: Vec<Option<usize>> = self.workflow.nodes.iter().map(|node| node.parent).collect();
        let is_within = |mut step: usize| {
            // Parents stand before their parts.
            while let Some(parent) = parents.get(step).copied().flatten().filter(|parent| *parent < step) {
                if parent == at {
                    return true;
                }
                step = parent;
            }
            false
        };
        for step in (0..self.steps.len()).filter(|step| is_within(*step)) {
            if matches!(self.state(step), State::Done | State::Failed(_)) {
                continue;
            }
            if matches!(self.state(step), State::Asked | State::Checked) {
                // What was given out in this very round has not begun.
                let before = effects.len();
                effects.retain(|effect| effect.step() != step);
                if effects.len() == before {
                    effects.push(FlowEffect::Drop { step });
                }
            }
            self.set(step, State::GivenUp);
        }
    }
}

impl FlowEffect {
    const fn step(&self) -> usize {
        match self {
            Self::Ask(asked) => asked.step,
            Self::Check(checked) => checked.step,
            Self::Drop { step } => *step,
        }
    }
}

/// A step's own name, without those that it stands in.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
