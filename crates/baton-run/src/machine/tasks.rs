//! Tasks: given, done one within the other, and their results.

use super::frame::{Errand, Frame, Turn, error};
use super::{Machine, Phase};
use crate::call::CallKind;
use crate::event::{CallResult, Cause, Effect, Guard};
use crate::team::{Task, Team};
use crate::words;

impl Machine {
    /// Sees to what a turn asks for beside tools: tasks, one after the other, then a transfer.
    pub(super) fn see_to(&mut self, mut turn: Turn, mut cause: Cause) -> Effect {
        while let Some((call, to)) = turn.open_errand() {
            match self.objection(&turn, call, to) {
                Ok(task) => {
                    self.phase = Phase::Delegating { turn, call, to, task: task.clone() };
                    return Effect::Delegate { to, task };
                }
                Err((text, why)) => {
                    turn.answer(call, error(text, turn.dialect));
                    if cause == Cause::NotAccepted {
                        cause = why;
                    }
                }
            }
        }
        let transfer = turn.calls.iter().enumerate().find_map(|(at, call)| match call.kind {
            CallKind::Transfer(to) => Some((at, to)),
            _ => None,
        });
        if let Some((at, to)) = transfer {
            return self.transfer(turn, at, to);
        }
        self.close(turn, words::NOT_EXECUTED);
        if self.terms.rules && cause == Cause::Tools {
            self.phase = Phase::Asking;
            return Effect::Rules;
        }
        self.goes_on(cause)
    }

    /// The task of a call, or what is said against it.
    pub(super) fn objection(&self, turn: &Turn, call: usize, to: usize) -> Result<Task, (String, Cause)> {
        let arguments = turn.calls.get(call).map_or("", |call| call.arguments.as_str());
        self.task_for(to, arguments)
    }

    /// The task that these arguments give this member, or what is said against it.
    ///
    /// # Errors
    /// What the model is told, and why it goes on.
    pub fn task_for(&self, to: usize, arguments: &str) -> Result<Task, (String, Cause)> {
        let refused = |text: String| Err((text, Cause::NotAccepted));
        let Some(task) = Team::task(arguments) else { return refused(words::NO_TASK.to_owned()) };
        let busy: Vec<usize> = self.busy().collect();
        if busy.contains(&to) {
            let name = |member: &usize| self.terms.members.name(*member);
            let path: Vec<&str> = busy.iter().map(name).chain([name(&to)]).collect();
            return refused(words::delegation_cycle(&path));
        }
        if self.is_too_deep() {
            return Err((words::TOO_DEEP.to_owned(), Cause::Guarded(Guard::Depth)));
        }
        Ok(task)
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.depth() >= usize::try_from(self.terms.limits.max_depth).unwrap_or(usize::MAX)
    }

    pub(super) fn delegated(&mut self, turn: Turn, call: usize, to: usize, task: Task) -> Effect {
        self.errands.push(Errand { frame: Frame::new(to), task, turn, call });
        self.hop += 1;
        self.goes_on(Cause::Delegated)
    }

    /// A task is done, with this for its result.
    pub(super) fn done(&mut self, result: CallResult) -> Effect {
        let Some(Errand { frame, mut turn, call, .. }) = self.errands.pop() else { return Effect::Fail };
        let cause = if result.is_error { Cause::GaveUp } else { Cause::Returned };
        turn.answer(call, result);
        self.back_from = Some(frame.active);
        self.hop += 1;
        if turn.open_errand().is_some() {
            self.phase = Phase::Noting { turn };
            return Effect::Returned { from: frame.active };
        }
        self.see_to(turn, cause)
    }

    /// Tells for each call of what does not exist what does.
    pub(super) fn answer_unknown(&self, turn: &mut Turn) {
        for at in 0..turn.calls.len() {
            let Some(call) = turn.calls.get(at) else { continue };
            let text = match call.kind {
                CallKind::NoSuchTool => {
                    words::no_such_tool(&call.name, self.terms.offered(self.seat()).into_iter())
                }
                CallKind::NoSuchErrand => self.team().map_or_else(String::new, |team| {
                    words::no_such_helper(team.name(self.active()), &team.helpers(self.active()))
                }),
                _ => continue,
            };
            turn.answer(at, error(text, turn.dialect));
        }
    }
}
