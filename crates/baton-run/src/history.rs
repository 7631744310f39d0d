//! How much of a conversation the target of a hand-over sees.

use baton_model::{Dialect, DocumentSource, Message, Part, PartKind, Role};

use crate::History;

/// The conversation as a target shall see it. `kept` messages at the end stay in any case: the
/// hand-over itself, and what came after it.
#[must_use]
pub fn view(messages: Vec<Message>, kept: usize, history: History, summary: Option<&str>) -> Vec<Message> {
    let before = messages.len().saturating_sub(kept);
    let mut head = messages;
    let tail = head.split_off(before);
    let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    let dialect =
        head.first().and_then(|it| it.parts.first()).map_or(Dialect::OpenaiChat, |it| it.origin.dialect);
    let mut seen: Vec<Message> = match history {
        History::Full => head,
        History::LastN(most) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let spoken: Vec<usize> =
                (0..head.len()).filter(|at| head.get(*at).is_some_and(|it| !is_instruction(it))).collect();
            let mut first = spoken.len().saturating_sub(most);
            // A round of tool calls begins with the calls.
            while first > 0 && spoken.get(first).and_then(|at| head.get(*at)).is_some_and(answers_a_call) {
                first -= 1;
            }
            let from = spoken.get(first).copied().unwrap_or(head.len());
            head.into_iter()
                .enumerate()
                .filter(|(at, message)| *at >= from || is_instruction(message))
                .map(|(_, message)| message)
                .collect()
        }
        History::None | History::Summary => {
            let asked = head.iter().rposition(|it| it.role == Role::User && !answers_a_call(it));
            let mut kept = Vec::new();
            let mut last = None;
            for (at, message) in head.into_iter().enumerate() {
                if is_instruction(&message) {
                    kept.push(message);
                } else if Some(at) == asked {
                    last = Some(message);
                }
            }
            if let Some(summary) = summary.filter(|_| history == History::Summary) {
                let text = format!("[A summary of the conversation so far, made by the gateway]\n{summary}");
                kept.push(Message { role: Role::User, name: None, parts: vec![Part::text(text, dialect)] });
            }
            kept.extend(last);
            kept
        }
    };
    seen.extend(tail);
    seen
}

/// How many bytes of text a message holds, about.
#[must_use]
pub fn size(message: &Message) -> usize {
    message.parts.iter().map(part_size).sum()
}

fn part_size(part: &Part) -> usize {
    match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => text.len(),
        PartKind::Image { .. } => 4_096,
        PartKind::Document { source, .. } => match source {
            DocumentSource::Url(_) => 4_096,
            DocumentSource::Base64 { data: text, .. } | DocumentSource::Text(text) => text.len(),
        },
        PartKind::Reasoning { text, signature } => text.len() + signature.as_ref().map_or(0, String::len),
        PartKind::RedactedReasoning { data } => data.len(),
        PartKind::ToolCall { id, name, arguments } => id.len() + name.len() + arguments.len(),
        PartKind::ToolResult { call_id, parts, .. } => {
            call_id.len() + parts.iter().map(part_size).sum::<usize>()
        }
        PartKind::Other(raw) => raw.get().len(),
    }
}

fn answers_a_call(message: &Message) -> bool {
    message.role == Role::Tool
        || message.parts.iter().any(|part| matches!(part.kind, PartKind::ToolResult { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: Role, text: &str) -> Message {
        Message { role, name: None, parts: vec![Part::text(text, Dialect::OpenaiChat)] }
    }

    fn called() -> Message {
        let kind = PartKind::ToolCall { id: "c".into(), name: "t".into(), arguments: "{}".into() };
        Message { role: Role::Assistant, name: None, parts: vec![Part::new(kind, Dialect::OpenaiChat)] }
    }

    fn answered() -> Message {
        let kind = PartKind::ToolResult { call_id: "c".into(), parts: Vec::new(), is_error: false };
        Message { role: Role::Tool, name: None, parts: vec![Part::new(kind, Dialect::OpenaiChat)] }
    }

    /// The letters of the conversation: instruction, user, assistant, call, result.
    fn letters(messages: &[Message]) -> String {
        messages
            .iter()
            .map(|it| match (it.role, it.parts.first().map(|part| &part.kind)) {
                (_, Some(PartKind::ToolCall { .. })) => 'c',
                (Role::Tool, _) => 'r',
                (Role::System | Role::Developer, _) => 'i',
                (Role::User, Some(PartKind::Text(text))) if text.starts_with('[') => 's',
                (Role::User, _) => 'u',
                (Role::Assistant, _) => 'a',
            })
            .collect()
    }

    fn talk(letters: &str) -> Vec<Message> {
        letters
            .chars()
            .map(|letter| match letter {
                'i' => said(Role::System, "i"),
                'u' => said(Role::User, "u"),
                'a' => said(Role::Assistant, "a"),
                'c' => called(),
                _ => answered(),
            })
            .collect()
    }

    #[test]
    fn a_target_sees_as_much_as_is_asked() {
        let check = |history, before: &str, kept: usize, after: &str| {
            assert_eq!(letters(&view(talk(before), kept, history, Some("x"))), after, "{history:?} {before}");
        };
        check(History::Full, "iuacrucr", 2, "iuacrucr");
        check(History::LastN(1), "iuauacr", 2, "iacr");
        check(History::LastN(2), "iuauacr", 2, "iuacr");
        check(History::LastN(9), "iuacr", 2, "iuacr");
        check(History::LastN(1), "iucrcr", 2, "icrcr");
        check(History::LastN(2), "iucrrcr", 2, "icrrcr");
        check(History::LastN(0), "iuacr", 2, "icr");
        check(History::None, "iuauacr", 2, "iucr");
        check(History::None, "iucrcr", 2, "iucr");
        check(History::None, "acr", 2, "cr");
        check(History::Summary, "iuauacr", 2, "isucr");
    }
}
