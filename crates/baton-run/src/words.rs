//! What models are told: descriptions, results and objections. Byte-stable, for they are part of
//! the prompt that providers cache.

use crate::Guard;
use crate::members::Members;

/// How the names of transfer tools begin.
pub(crate) const TRANSFER: &str = "transfer_to_";

/// What the reason of a transfer is.
pub(crate) const WHY: &str = "Why it should take over, in one sentence.";

/// The result of a call that came after a transfer.
pub(crate) const HANDED_OVER: &str = "not executed: handed over";

/// The result of a call that came after one that was sent back.
pub(crate) const NOT_EXECUTED: &str = "not executed: the first call of the turn was answered alone";

/// The result of a client's tool that was called behind tools of the gateway's.
pub(crate) const CALL_AGAIN: &str =
    "not executed: call it again, now that the results of the other tools are there, if it is still needed";

pub(crate) const NO_RETURN: &str =
    "not handed over: that model has had the conversation before, and it may not go back. Answer yourself.";

pub(crate) const NO_REASON: &str = "not handed over: give the `reason`, in one sentence";

/// What a model is told that has the conversation now.
pub(crate) fn handed_over(from: &str) -> String {
    format!(
        "You have the conversation now. `{from}` handed it to you; the call above carries what it had to say. \
         Go on from here, use only the tools that you are given, and do not speak of the hand-over."
    )
}

/// What was written for one target alone.
pub(crate) fn instructions(text: &str) -> String {
    format!("Instructions for you: {text}")
}

pub(crate) fn no_such_target(asked: &str, members: &Members, active: usize) -> String {
    let names: Vec<&str> = members.others(active).map(|at| members.tool_name(at)).collect();
    format!("not handed over: there is no `{}`. The transfers that exist: {}", shown(asked), names.join(", "))
}

/// The most names of tools that an error tells.
const MOST_NAMES: usize = 64;

pub(crate) fn no_such_tool<'a>(asked: &str, offered: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = offered.collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    match names.as_slice() {
        [] => format!("not executed: there is no tool `{}`, nor any other. Answer yourself.", shown(asked)),
        names => format!(
            "not executed: there is no tool `{}`. The tools that exist: {}{more}",
            shown(asked),
            names.join(", ")
        ),
    }
}

pub(crate) fn no_such_agent(agent: &str, targets: &str) -> String {
    format!(
        "Agent {agent} cannot hand off to that target: it is not in its handoffs list. Available agent IDs are: {targets}"
    )
}

pub(crate) fn no_such_helper(agent: &str, helpers: &str) -> String {
    format!("Agent {agent} cannot give that agent a task. Available agent IDs are: {helpers}")
}

pub(crate) const NO_TASK: &str = "not delegated: say what is to be done in `task`";

pub(crate) const TOO_DEEP: &str = "not delegated: too many agents wait for each other already. Do it yourself, or answer with what there is.";

pub(crate) fn delegation_cycle(path: &[&str]) -> String {
    format!("delegation cycle detected: {}", path.join(" -> "))
}

pub(crate) fn gave_up(name: &str) -> String {
    format!("agent `{name}` could not finish: its models did not answer")
}

pub(crate) fn out_of_turns(name: &str) -> String {
    format!("agent `{name}` has taken all of its turns, and is stopped")
}

pub(crate) fn said_nothing(name: &str) -> String {
    format!("agent `{name}` gave no text")
}

pub(crate) fn target_unavailable(name: &str) -> String {
    format!(
        "target unavailable: `{name}` cannot take the conversation now. Answer yourself, or hand it to another."
    )
}

pub(crate) const fn guarded(guard: Guard) -> &'static str {
    match guard {
        Guard::MaxHandoffs => {
            "not handed over: the conversation has changed hands often enough. Answer yourself."
        }
        Guard::PingPong => {
            "not handed over: the conversation has gone this way before, and the user has said nothing new. Answer yourself."
        }
        Guard::Depth => TOO_DEEP,
        Guard::MaxTurns | Guard::Budget | Guard::Tokens | Guard::Rule => {
            "not handed over: the run is at its end. Answer yourself."
        }
    }
}

/// Whether a call's name is made like a transfer.
pub(crate) fn looks_like_transfer(name: &str) -> bool {
    name.get(..TRANSFER.len()).is_some_and(|head| head.eq_ignore_ascii_case(TRANSFER))
}

/// A name that a model made up, short enough to repeat.
fn shown(name: &str) -> &str {
    name.get(..name.floor_char_boundary(80)).unwrap_or_default()
}
