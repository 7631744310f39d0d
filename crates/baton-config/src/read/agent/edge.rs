//! Reads whom an agent may hand over to, and whom it may give tasks.

use std::sync::Arc;

use baton_policy::{Actions, Rule, RuleSet};

use super::note::Notes;
use super::{LONGEST_NAME, OWN_TOOLS, Places};
use crate::agents::{Condition, HandoffEdge, SubAgent};
use crate::reader::{At, Reader};
use crate::tree::Span;
use crate::value::{Wrong, did_you_mean};

/// Whom an agent names. One that is not there is left out with a warning, as Docker Agent's own examples name some;
/// one that is nearly there is a mistake.
fn named(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    of: &str,
    what: &str,
    names: &[&str],
    notes: &mut Notes,
) -> Option<String> {
    let text = reader.read(at, |text| Ok(text.to_owned()))?;
    match known(&text, of, what, names) {
        Ok(name) => Some(name),
        Err(missing) => {
            if missing.is_near {
                reader.wrong(at, missing.wrong);
            } else {
                notes.warn(at.node.span, &at.path, format!("{}; it is left out", missing.wrong.message));
            }
            None
        }
    }
}

/// What is wrong with the name of an agent that is not there.
pub(super) struct NoAgent {
    pub(super) wrong: Wrong,
    /// Whether it is meant for one that is, or for one that is refused.
    pub(super) is_near: bool,
}

/// An agent of the file by its name.
pub(super) fn known(text: &str, of: &str, what: &str, names: &[&str]) -> Result<String, NoAgent> {
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    if text.contains(['/', ':']) {
        let wrong =
            Wrong::new(format!("`{text}` is an agent elsewhere (A2A or a registry), which is refused"));
        return Err(NoAgent { wrong: wrong.hint("name an agent of this file"), is_near: true });
    }
    let what = match what {
        "sub_agents" => "sub-agent",
        "handoffs" => "handoff agent",
        _ => "agent",
    };
    let wrong = Wrong::new(format!("agent `{of}` references non-existent {what} `{text}`"));
    Err(match did_you_mean(text, names.iter().copied()) {
        Some(hint) => NoAgent { wrong: wrong.hint(hint), is_near: true },
        None => NoAgent { wrong: wrong.hint("add it to `agents`"), is_near: false },
    })
}

pub(super) fn read_handoffs(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    of: &str,
    names: &[&str],
    places: &mut Places,
    notes: &mut Notes,
) -> Vec<HandoffEdge> {
    let mut edges: Vec<HandoffEdge> = Vec::new();
    for item in reader.list(at).unwrap_or_default() {
        let Some((edge, span, path)) = read_handoff(reader, &item, of, names, notes) else { continue };
        if edge.agent == of {
            reader.wrong_at(span, &path, Wrong::new("an agent does not hand over to itself"));
        } else if edges.iter().any(|other| other.agent == edge.agent) {
            reader.wrong_at(span, &path, Wrong::new(format!("`{}` stands here twice", edge.agent)));
        } else {
            places.handoffs.push((edge.agent.clone(), span, path));
            edges.push(edge);
        }
    }
    edges
}

fn read_handoff(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    of: &str,
    names: &[&str],
    notes: &mut Notes,
) -> Option<(HandoffEdge, Span, String)> {
    if !item.is_map() {
        let agent = named(reader, item, of, "handoffs", names, notes)?;
        let edge = HandoffEdge {
            agent,
            description: None,
            returns: false,
            additional_instructions: None,
            enabled_if: None,
        };
        return Some((edge, item.node.span, item.path.clone()));
    }
    let mut section = reader.section(item)?;
    let agent_at = notes.take(reader, &mut section, "agent");
    if agent_at.is_none() {
        reader.missing(&section, "agent", "whom the conversation may go to");
    }
    let agent = agent_at.as_ref().and_then(|at| named(reader, at, of, "handoffs", names, notes));
    let mut text = |reader: &mut Reader<'_>, key| {
        let at = notes.take(reader, &mut section, key)?;
        reader.read(&at, |text| Ok(text.trim().to_owned()))
    };
    let description = text(reader, "description");
    let additional_instructions = text(reader, "additional_instructions");
    let returns = notes.take(reader, &mut section, "returns").and_then(|at| reader.boolean(&at));
    let enabled_if =
        notes.take(reader, &mut section, "enabled_if").and_then(|at| read_condition(reader, &at));
    reader.finish(section);
    let (span, path) = (agent_at?.node.span, item.path.clone());
    let returns = returns.unwrap_or_default();
    Some((
        HandoffEdge { agent: agent?, description, returns, additional_instructions, enabled_if },
        span,
        path,
    ))
}

pub(super) fn read_condition(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Condition> {
    let text = reader.read(at, |text| Ok(text.to_owned()))?;
    let rule = Rule { name: "enabled_if".to_owned(), when: text.clone(), then: Actions::default() };
    match RuleSet::compile(&[rule]) {
        Ok(rule) => Some(Condition { text, rule: Arc::new(rule) }),
        Err(mistakes) => {
            for mistake in mistakes {
                let wrong = Wrong { message: mistake.message, hint: mistake.hint };
                reader.wrong_inside(at, mistake.line, mistake.column, wrong);
            }
            None
        }
    }
}

pub(super) fn read_sub_agents(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    of: &str,
    names: &[&str],
    places: &mut Places,
    notes: &mut Notes,
) -> Vec<SubAgent> {
    let mut edges: Vec<SubAgent> = Vec::new();
    for item in reader.list(at).unwrap_or_default() {
        let Some(edge) = read_sub_agent(reader, &item, of, names, notes) else { continue };
        let clash = edges.iter().any(|other| other.agent == edge.agent && other.tool == edge.tool)
            || edge.tool.is_some() && edges.iter().any(|other| other.tool == edge.tool);
        if edge.agent == of {
            reader.wrong_at(item.node.span, &item.path, Wrong::new("an agent gives no task to itself"));
        } else if clash {
            reader.wrong_at(item.node.span, &item.path, Wrong::new("this stands here twice"));
        } else {
            places.sub_agents.push((edge.agent.clone(), item.node.span, item.path.clone()));
            edges.push(edge);
        }
    }
    edges
}

fn read_sub_agent(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    of: &str,
    names: &[&str],
    notes: &mut Notes,
) -> Option<SubAgent> {
    if !item.is_map() {
        let agent = named(reader, item, of, "sub_agents", names, notes)?;
        return Some(SubAgent { agent, tool: None, description: None });
    }
    let mut section = reader.section(item)?;
    let agent_at = notes.take(reader, &mut section, "agent");
    if agent_at.is_none() {
        reader.missing(&section, "agent", "who may be given a task");
    }
    let agent = agent_at.and_then(|at| named(reader, &at, of, "sub_agents", names, notes));
    let tool = notes.take(reader, &mut section, "as").and_then(|at| reader.read(&at, tool_name));
    let description = notes
        .take(reader, &mut section, "description")
        .and_then(|at| reader.read(&at, |text| Ok(text.trim().to_owned())));
    reader.finish(section);
    Some(SubAgent { agent: agent?, tool, description })
}

/// A name as every vendor takes it for a tool, and none of ours.
pub(super) fn tool_name(text: &str) -> Result<String, Wrong> {
    let fits = text.len() <= LONGEST_NAME
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !fits {
        return Err(Wrong::new("a tool is named with letters, digits, `-` and `_`, 64 at most"));
    }
    if OWN_TOOLS.contains(&text)
        || text.to_ascii_lowercase().starts_with("transfer_to_")
        || text.contains("__")
    {
        return Err(Wrong::new(format!("`{text}` means something of its own to agents")));
    }
    Ok(text.to_owned())
}
