//! Finds out whether a request may take more than one answer: who may hand it to whom, and within which limits.

use baton_dialect::JoinLane;
use baton_model::{Dialect, RawObject, Tool};
use baton_policy::{Actions, Candidate, Inputs, Row, Stage, Verdict};
use baton_run::{HandoffMode, Limits, Machine, Member, Members, TargetWishes, Terms};
use baton_tools::{OfferedTool, ToolSet};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::leg::{LegMember, LegTerms};
use crate::run::Run;

/// The most turns that a request may ask for.
pub(crate) const MOST_TURNS: u32 = 50;

/// The run of a request, where it is more than one answer.
pub(crate) fn plot(
    run: &Run,
    inputs: &Inputs,
    table: &[Row],
    order: &[u32],
    rule: Option<&Actions>,
    moved: bool,
    tools: Option<&ToolSet>,
) -> Result<(Machine, LegTerms), Option<&'static str>> {
    let wishes = &run.ask.handoff;
    let mode = match wishes.mode {
        // A client may ask for less than its route allows, and not for more.
        Some(wish) => run.pool.handoff.and(wish),
        None => run.pool.handoff,
    };
    // A run of its own is written down turn by turn, be it of one.
    let kept = run.ask.kept.is_some();
    if mode == HandoffMode::Off && tools.is_none() && !kept || order.is_empty() {
        return Err(None);
    }
    let mut members = members(inputs, table, order);
    if run.ask.models.members > 0 {
        // Those behind the list only stand in for failures.
        members.retain(|(at, _)| *at < run.ask.models.members);
    }
    let many = mode != HandoffMode::Off && members.len() > 1;
    if !many && tools.is_none() && !kept {
        return Err(None);
    }
    let client_tools = tool_names(&run.ask.body);
    let disabled = disabled(run.ask.dialect, &run.ask.body);
    let disabled = disabled.or((order.len() < 2).then_some("no other model of the pool is eligible"));
    let offered = many && mode.by_model() && disabled.is_none();
    if !offered && !moved && tools.is_none() && !kept {
        // Without tools of its own the gateway has nothing to do between two turns.
        return Err(disabled.filter(|_| mode.by_model()));
    }
    let offers: Vec<Tool> = tools.into_iter().flat_map(ToolSet::tools).map(OfferedTool::to_tool).collect();
    let server_tools = if run.ask.run_tools {
        tools.into_iter().flat_map(ToolSet::tools).map(|tool| tool.name.clone()).collect()
    } else {
        // Their calls are the client's to make.
        Vec::new()
    };
    let introduced = members
        .iter()
        .map(|(_, candidate)| introduced(candidate, wishes.targets.get(candidate.model.as_str())))
        .collect();
    let asks_for_schema = inputs.features.structured_output;
    let same = members.iter().all(|(_, candidate)| {
        let upstream = run.settings.catalog.upstream(&candidate.target.provider);
        // A schema that goes by a tool is shown through the model's events.
        let by_tool = asks_for_schema && candidate.facts.capabilities.structured_output == Some(false);
        upstream.is_some_and(|upstream| upstream.speaks(run.ask.dialect)) && !by_tool
    });
    let limits = limits(run, rule);
    let first = order.first().and_then(|at| usize::try_from(*at).ok());
    let active = members.iter().position(|(at, _)| Some(*at) == first).ok_or(None)?;
    let terms = Terms {
        limits,
        members: Members::new(introduced, &client_tools, offered, wishes.package),
        team: None,
        client_tools,
        server_tools,
        own_tools: tools.is_some() && run.ask.run_tools,
        rules: !run.pool.policy.document.rules.is_empty(),
        text_is_final: inputs.features.structured_output || demands_json(run.ask.dialect, &run.ask.body),
        dialect: run.ask.dialect,
    };
    let legs = LegTerms {
        lane: if same { JoinLane::Patch } else { JoinLane::Model },
        members: members
            .into_iter()
            .map(|(at, candidate)| LegMember {
                target: candidate.target.clone(),
                candidate: at,
                settings: wishes
                    .targets
                    .get(candidate.model.as_str())
                    .map(|wishes| wishes.settings.clone())
                    .unwrap_or_default(),
            })
            .collect(),
        tools: offers,
        history: wishes.history.unwrap_or_default(),
    };
    Ok((Machine::new(terms, active), legs))
}

/// Who may have the conversation, in the pool's order: all but those who can or may not. One that is
/// unwell stays among them, for the tools on offer should not change from request to request.
fn members<'a>(inputs: &'a Inputs, table: &[Row], order: &[u32]) -> Vec<(usize, &'a Candidate)> {
    let stays = |row: &Row| match &row.verdict {
        Verdict::Rejected(rejection) => rejection.stage == Stage::Health,
        Verdict::Selected | Verdict::Eligible { .. } => true,
    };
    inputs
        .candidates
        .iter()
        .zip(table)
        .enumerate()
        .filter(|(at, (_, row))| stays(row) || u32::try_from(*at).is_ok_and(|at| order.contains(&at)))
        .map(|(at, (candidate, _))| (at, candidate))
        .collect()
}

fn introduced(candidate: &Candidate, wishes: Option<&TargetWishes>) -> Member {
    let described = wishes.and_then(|wishes| wishes.description.clone());
    Member {
        name: candidate.model.to_string(),
        description: described.unwrap_or_else(|| described_by(candidate)),
        instructions: wishes.and_then(|wishes| wishes.additional_instructions.clone()),
    }
}

/// What the catalogue knows: the family as people call it, and what it is best at.
fn described_by(candidate: &Candidate) -> String {
    let facts = &candidate.facts;
    let mut text = String::new();
    if let Some(family) = &facts.family {
        text.push_str(&format!("It is {family}."));
    }
    let mut strengths: Vec<(&String, &u32)> = facts.strengths.iter().collect();
    strengths.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let best: Vec<String> = strengths.iter().take(4).map(|(name, _)| name.replace('_', " ")).collect();
    if !best.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("Best at: {}.", best.join(", ")));
    }
    text
}

fn limits(run: &Run, rule: Option<&Actions>) -> Limits {
    let wishes = &run.ask.handoff;
    let standard = Limits::default();
    let mut max_turns = wishes.max_turns.unwrap_or(standard.max_turns).clamp(1, MOST_TURNS);
    if let Some(most) = rule.and_then(|actions| actions.max_turns) {
        max_turns = max_turns.min(most.max(1));
    }
    Limits {
        max_turns,
        max_handoffs: wishes.max_handoffs.unwrap_or(standard.max_handoffs).min(MOST_TURNS),
        budget: wishes.budget,
        no_return: wishes.no_return,
        require_reason: wishes.require_reason,
        ..standard
    }
}

/// Why no transfers are offered to the models, where the request does not allow it.
pub(crate) fn disabled(dialect: Dialect, body: &RawObject) -> Option<&'static str> {
    if body.read::<u64>("n").ok().flatten().is_some_and(|n| n > 1) {
        return Some("several answers are asked for (`n`)");
    }
    let choice = body.get("tool_choice").filter(|choice| *choice != b"null")?;
    let word: Option<String> = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => serde_json::from_slice(choice).ok(),
        Dialect::AnthropicMessages => {
            serde_json::from_slice::<ChoiceType>(choice).ok().map(|choice| choice.kind)
        }
    };
    match word.as_deref() {
        Some("none") => Some("the request allows no tool (`tool_choice`)"),
        Some("auto" | "required" | "any") => None,
        _ => Some("the request names the tool to call (`tool_choice`)"),
    }
}

#[derive(Deserialize)]
struct ChoiceType {
    #[serde(rename = "type")]
    kind: String,
}

/// Whether the answer has to be JSON.
pub(crate) fn demands_json(dialect: Dialect, body: &RawObject) -> bool {
    #[derive(Deserialize)]
    struct Format {
        #[serde(rename = "type", default)]
        kind: String,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(default)]
        format: Option<Format>,
    }
    let format = match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages => {
            body.read::<Format>("response_format").ok().flatten()
        }
        Dialect::OpenaiResponses => body.read::<Text>("text").ok().flatten().and_then(|text| text.format),
    };
    format.is_some_and(|format| format.kind.starts_with("json"))
        || body.read::<IgnoredAny>("output_format").ok().flatten().is_some()
}

/// The names of the client's own tools.
pub(crate) fn tool_names(body: &RawObject) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        function: Option<Function>,
    }
    #[derive(Deserialize)]
    struct Function {
        #[serde(default)]
        name: Option<String>,
    }
    // `functions` is the older form.
    let of = |key| body.read::<Vec<Named>>(key).ok().flatten().unwrap_or_default();
    of("tools")
        .into_iter()
        .chain(of("functions"))
        .filter_map(|tool| tool.function.and_then(|it| it.name).or(tool.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_for_json_is_seen_in_each_dialect() {
        let demands =
            |dialect, body: &str| demands_json(dialect, &RawObject::parse(body.to_owned().into()).unwrap());
        for (dialect, body, expected) in [
            (Dialect::OpenaiChat, r#"{"response_format":{"type":"json_object"}}"#, true),
            (Dialect::OpenaiChat, r#"{"response_format":{"type":"text"}}"#, false),
            (Dialect::OpenaiChat, r#"{"text":{"format":{"type":"json_schema"}}}"#, false),
            (Dialect::OpenaiResponses, r#"{"text":{"format":{"type":"json_schema"}}}"#, true),
            (Dialect::OpenaiResponses, r#"{"text":{"format":{"type":"json_object"}}}"#, true),
            (Dialect::OpenaiResponses, r#"{"text":{"format":{"type":"text"},"verbosity":"low"}}"#, false),
            (Dialect::OpenaiResponses, r#"{"text":null}"#, false),
            (Dialect::AnthropicMessages, r#"{"output_format":{"type":"json_schema"}}"#, true),
        ] {
            assert_eq!(demands(dialect, body), expected, "{body}");
        }
    }
}
