//! Changes an answer back, where its request was changed so that a target takes it.
//!
//! A target may know no schemas, so the answer comes by a tool; and it may not take a tool's name, so the tool has
//! another one there. A client sees neither.
//!
//! - Start with [`Changed`], which [`fitting_names`] and [`by_tool`](crate::by_tool) fill.
//! - **Invariant:** the same name is always changed in the same way, so that calls of earlier turns keep theirs.

use std::borrow::Cow;

use baton_model::{Answer, Dialect, PartKind, PartStart, Request, StreamEvent, Tool, ToolChoice};

use crate::convert::{HASH_OF_NOTHING, hash_on};
use crate::{AnswerStream, AnswerTool, Unfit};

/// What was changed in a request, to be changed back in its answer.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// The tool that the answer is given by.
    pub answer_tool: Option<AnswerTool>,
    /// The tools that have other names.
    pub names: ToolNames,
}

/// Names of tools that a target does not take, beside those that stand for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolNames(Vec<(String, String)>);

impl Changed {
    /// Whether there is anything to change back.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.answer_tool.is_none() && self.names.0.is_empty()
    }

    /// The answer as the client asked for it.
    ///
    /// # Errors
    /// [`Unfit`] where it should be of a schema and is not.
    pub fn answer(&self, mut answer: Answer) -> Result<Answer, Unfit> {
        if let Some(tool) = &self.answer_tool {
            answer = tool.answer(answer);
            tool.check(&answer)?;
        }
        for part in &mut answer.parts {
            if let PartKind::ToolCall { name, .. } = &mut part.kind {
                self.names.restore(name);
            }
        }
        Ok(answer)
    }

    /// A stream of such answers.
    #[must_use]
    pub fn stream(&self) -> ChangedStream {
        ChangedStream {
            answers: self.answer_tool.as_ref().map(AnswerTool::stream),
            names: self.names.clone(),
            given: Vec::new(),
        }
    }
}

impl ToolNames {
    /// Puts the client's name in the place of the one that was sent.
    fn restore(&self, name: &mut String) {
        if let Some((_, own)) = self.0.iter().find(|(sent, _)| sent == name) {
            name.clone_from(own);
        }
    }
}

/// Changes a stream's events back.
#[derive(Clone, Debug)]
pub struct ChangedStream {
    answers: Option<AnswerStream>,
    names: ToolNames,
    given: Vec<StreamEvent>,
}

impl ChangedStream {
    /// Takes an event and tells what follows from it.
    pub fn push(&mut self, event: StreamEvent, out: &mut Vec<StreamEvent>) {
        match &mut self.answers {
            Some(answers) => answers.push(event, &mut self.given),
            None => self.given.push(event),
        }
        for mut event in self.given.drain(..) {
            if let StreamEvent::PartStart { part: PartStart::ToolCall { name, .. }, .. } = &mut event {
                self.names.restore(name);
            }
            out.push(event);
        }
    }

    /// What does not follow its schema, once an error event was given out for it.
    #[must_use]
    pub fn unfit(&self) -> Option<&Unfit> {
        self.answers.as_ref().and_then(AnswerStream::unfit)
    }
}

/// The longest name of a tool that a dialect's vendor takes. All take ASCII letters, digits, `_` and `-`.
/// <https://platform.openai.com/docs/api-reference/chat/create>, <https://platform.claude.com/docs/en/api/messages>
const fn longest_name(dialect: Dialect) -> usize {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => 64,
        Dialect::AnthropicMessages => 128,
    }
}

/// The request with names of tools that servers of a dialect take, and which of them were changed.
///
/// `None` where none had to be, which is nearly always. A request of the dialect's own is left as it is: its server
/// says what it takes.
#[must_use]
pub fn fitting_names(request: &Request, target: Dialect) -> Option<(Request, ToolNames)> {
    let most = longest_name(target);
    let fits = |name: &str| matches!(fitting(name, most), Cow::Borrowed(_));
    let offered = request.tools.iter().all(|tool| match tool {
        Tool::Function { name, .. } => fits(name),
        Tool::Vendor { .. } => true,
    });
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let mut called = parts.filter_map(|part| match &part.kind {
        PartKind::ToolCall { name, .. } => Some(name),
        _ => None,
    });
    if request.origin == target || (offered && called.all(|name| fits(name))) {
        return None;
    }
    let mut request = request.clone();
    let mut names = ToolNames::default();
    let mut change = |name: &mut String| {
        if let Cow::Owned(sent) = fitting(name, most) {
            let own = std::mem::replace(name, sent);
            if !names.0.iter().any(|(known, _)| known == name) {
                names.0.push((name.clone(), own));
            }
        }
    };
    for tool in &mut request.tools {
        if let Tool::Function { name, .. } = tool {
            change(name);
        }
    }
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let PartKind::ToolCall { name, .. } = &mut part.kind {
            change(name);
        }
    }
    if let Some(ToolChoice::Tool(name)) = &mut request.tool_choice {
        change(name);
    }
    Some((request, names))
}

/// The name, or one that is made from it: what may stay of it, and digits that tell it from others like it.
fn fitting(name: &str, most: usize) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    // An empty one is the client's mistake, and is told by whoever gets it.
    if name.len() <= most && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let digits = format!("{:08x}", hash_on(HASH_OF_NOTHING, name) & 0xffff_ffff);
    let kept = name.chars().map(|letter| if plain(letter) { letter } else { '_' });
    let kept: String = kept.take(most.saturating_sub(digits.len() + 1)).collect();
    Cow::Owned(format!("{kept}_{digits}"))
}

#[cfg(test)]
mod tests;
