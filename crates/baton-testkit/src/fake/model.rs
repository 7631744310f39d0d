//! Answers like a plausible model, in terms of no dialect.
//!
//! The answer is a plain function of what was asked, so the same request gets the same answer,
//! streamed or not, and a test can compare the two.
//!
//! - Start with [`answer`].
//! - **Invariant:** a required or named tool is always called, with arguments that fit its schema.
//! - **Never here:** wire formats; `openai` and `anthropic` turn a [`Reply`] into bytes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::instance::instance;
use super::script::Said;

/// What a request asked for, as far as an answer depends on it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a request is a list of switches")]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) one_call: bool,
    pub(crate) after_tool_result: bool,
    pub(crate) last_text: String,
    pub(crate) shape: Shape,
    pub(crate) most_tokens: Option<u64>,
    pub(crate) stops: Vec<String>,
    pub(crate) reasoning: bool,
    pub(crate) logprobs: bool,
    pub(crate) choices: u64,
    pub(crate) prompt_bytes: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schema: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    None,
    #[default]
    Auto,
    Required,
    Named(String),
}

/// The structure an answer must have.
#[derive(Clone, Debug, Default)]
pub(crate) enum Shape {
    #[default]
    Free,
    Object,
    Schema(Value),
}

/// One finished answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) reasoning: Option<String>,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    End,
    Stop(String),
    Length,
    Calls,
}

/// Token counts of an answer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// All that was read, with what came from the cache and what went into it.
    pub input: u64,
    /// Of that, what came from the cache.
    pub cached: u64,
    /// Of that, what went into the cache.
    pub cache_write: u64,
    /// All that was written, with the thinking.
    pub output: u64,
    /// Of that, the thinking.
    pub reasoning: u64,
}

/// The answer to `ask`, or what the script says instead.
pub(crate) fn answer(ask: &Ask, said: Option<&Said>) -> Reply {
    let calls = match said {
        Some(Said::Calls(calls) | Said::TextAndCalls(_, calls)) => {
            calls.iter().map(|(name, arguments)| call(name, arguments.clone())).collect()
        }
        Some(Said::Text(_)) => Vec::new(),
        None => choose_calls(ask),
    };
    let reasoning = ask.reasoning.then(|| "The request is short, so the answer can be short too.".to_owned());
    let (text, finish) = match (calls.as_slice(), said) {
        ([_, ..], Some(Said::TextAndCalls(text, _))) => (text.clone(), Finish::Calls),
        ([_, ..], _) => (String::new(), Finish::Calls),
        ([], Some(Said::Text(text))) => shorten(ask, text.clone()),
        ([], _) => shorten(ask, speak(ask)),
    };
    let usage = count(ask, &text, &calls, reasoning.as_deref());
    Reply { reasoning, text, calls, finish, usage }
}

fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.to_owned(), arguments }
}

/// Calls a tool when one is offered and the last message is no tool result; every tool when the
/// user asks for parallel calls. A transfer is called when the user asks to hand off to someone whom
/// its description names, and never otherwise.
fn choose_calls(ask: &Ask) -> Vec<Call> {
    let is_transfer = |tool: &&Tool| tool.name.starts_with("transfer_to_");
    if let Some((_, named)) = ask.last_text.split_once("hand off to ")
        && let Some(name) = named.split(|c: char| !c.is_alphanumeric()).next()
        && !ask.after_tool_result
        && let Some(tool) = ask.tools.iter().filter(is_transfer).find(|tool| tool.description.contains(name))
    {
        return vec![call(&tool.name, json!({"reason": format!("the user asks for {name}")}))];
    }
    let own: Vec<&Tool> = ask.tools.iter().filter(|tool| !is_transfer(tool)).collect();
    let made = |tool: &Tool| call(&tool.name, instance(&tool.schema));
    match &ask.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => own.iter().filter(|tool| &tool.name == name).map(|tool| made(tool)).collect(),
        Choice::Auto if ask.after_tool_result => Vec::new(),
        Choice::Auto | Choice::Required => {
            let parallel = !ask.one_call && ask.last_text.contains("parallel");
            own.iter().take(if parallel { usize::MAX } else { 1 }).map(|tool| made(tool)).collect()
        }
    }
}

fn speak(ask: &Ask) -> String {
    match &ask.shape {
        Shape::Schema(schema) => instance(schema).to_string(),
        Shape::Object => r#"{"answer":"Paris"}"#.to_owned(),
        // Asked in words, where a dialect has no member for it.
        Shape::Free if ask.last_text.contains("in JSON") => r#"{"answer":"Paris"}"#.to_owned(),
        Shape::Free if ask.after_tool_result => {
            "The tool says: it is mild in Paris, 18 °C, with a light wind from the west.".to_owned()
        }
        Shape::Free => {
            let heard = ask.last_text.chars().take(80).collect::<String>();
            format!("Hello from the fake model, café and 🦀 included. You said: {heard}")
        }
    }
}

/// Ends the text at a stop sequence or at the token limit, one word being one token.
fn shorten(ask: &Ask, text: String) -> (String, Finish) {
    let stop = ask
        .stops
        .iter()
        .filter_map(|stop| text.split_once(stop.as_str()).map(|(before, _)| (before.to_owned(), stop)))
        .min_by_key(|(before, _)| before.len());
    let (text, finish) = match stop {
        Some((before, stop)) => (before, Finish::Stop(stop.clone())),
        None => (text, Finish::End),
    };
    let words = text.split_inclusive(' ').collect::<Vec<_>>();
    let most = ask.most_tokens.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    if words.len() > most {
        (words.into_iter().take(most).collect::<String>(), Finish::Length)
    } else {
        (text, finish)
    }
}

fn count(ask: &Ask, text: &str, calls: &[Call], reasoning: Option<&str>) -> Usage {
    let words = |text: &str| u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX);
    let input = u64::try_from(ask.prompt_bytes / 4).unwrap_or(u64::MAX).max(8);
    let reasoning = reasoning.map_or(0, words);
    let calls = calls.iter().map(|call| 8 + words(&call.arguments.to_string())).sum::<u64>();
    Usage {
        input,
        cached: input / 4,
        cache_write: input / 8,
        output: words(text) + calls + reasoning,
        reasoning,
    }
}

/// `text` in at most `pieces` parts that join to the whole.
pub(crate) fn split(text: &str, pieces: usize) -> Vec<String> {
    let letters = text.chars().collect::<Vec<_>>();
    let size = letters.len().div_ceil(pieces.max(1)).max(1);
    letters.chunks(size).map(|part| part.iter().collect()).collect()
}

#[cfg(test)]
mod tests;
