//! Carries how much a model may think, between effort, token budget and adaptive thinking.
//!
//! Models up to Claude 4.5 take a budget and refuse `adaptive`; later ones take `adaptive` with an
//! effort and refuse a budget. Which of the two a foreign request becomes is read from the name.
//! <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>

use baton_model::{RawJson, RawObject, Reasoning, Request, ToolChoice};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DIALECT;
use super::content::missing;
use super::decode::member;
use super::types::Text;
use crate::convert::{ObjectWriter, effort_of_budget};
use crate::losses::{self, Dropped};
use crate::{DecodeError, EncodeTarget};

/// The smallest budget the API takes.
const MIN_BUDGET: u64 = 1_024;

/// What an effort is worth in tokens; the other direction is [`effort_of_budget`].
pub(super) fn budget_of_effort(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => MIN_BUDGET,
        "medium" => 4_096,
        "high" => 16_384,
        _ => 32_768,
    }
}

/// What is written: the `thinking` member, and those of `output_config` beside the format.
#[derive(Default)]
pub(super) struct ReasoningOut {
    pub(super) thinking: Option<Thinking>,
    pub(super) config: Vec<(String, RawJson)>,
}

/// The `thinking` member.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Disabled {},
    Adaptive {},
    /// As a client of this dialect sent it.
    #[serde(untagged)]
    Raw(RawJson),
}

/// A client's own form, where effort and budget do not say it all.
#[derive(Deserialize)]
struct OwnForm {
    thinking: Option<RawJson>,
    output_config: Option<RawJson>,
}

#[derive(Deserialize)]
struct ThinkingIn<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    budget_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ConfigIn {
    effort: Option<String>,
}

/// Reads `thinking` and what stands beside the format in `output_config`.
pub(super) fn decode_reasoning(body: &RawObject) -> Result<Option<Reasoning>, DecodeError> {
    let own_effort = member::<ConfigIn>(body, "output_config")?.and_then(|config| config.effort);
    // The model's scale ends before this dialect's.
    let beyond = own_effort.as_deref() == Some("max");
    let effort = if beyond { Some("xhigh".to_owned()) } else { own_effort };
    let config = body.get_bytes("output_config").map(config_members).unwrap_or_default();
    let Some(thinking) = member::<ThinkingIn<'_>>(body, "thinking")? else {
        let plain = !beyond && config.len() == usize::from(effort.is_some());
        let raw = if plain { None } else { own_form(None, &config) };
        return Ok((!config.is_empty()).then_some(Reasoning { effort, budget_tokens: None, raw }));
    };
    let kind = thinking.r#type.ok_or_else(|| missing(format_args!("thinking"), "type"))?;
    let reasoning = match kind.0.as_ref() {
        "enabled" => {
            let budget = thinking.budget_tokens;
            let budget = budget.ok_or_else(|| missing(format_args!("thinking"), "budget_tokens"))?;
            Reasoning { effort, budget_tokens: Some(budget), raw: None }
        }
        "disabled" => Reasoning { effort: Some("none".to_owned()), budget_tokens: None, raw: None },
        _ => Reasoning { effort, budget_tokens: None, raw: None },
    };
    let members = body.get_bytes("thinking").map(members).unwrap_or_default();
    let plain =
        config.is_empty() && matches!((kind.0.as_ref(), members.len()), ("enabled", 2) | ("disabled", 1));
    let raw = if plain { None } else { own_form(member(body, "thinking")?.as_ref(), &config) };
    Ok(Some(Reasoning { raw, ..reasoning }))
}

/// Whether a body asks for thinking with a budget. That is refused where the conversation ends with the results of
/// calls that were made without thinking: a transfer by a rule, or by another vendor's model.
pub(super) fn thinks_by_budget(body: &RawObject) -> bool {
    body.get("thinking").is_some_and(is_enabled)
}

fn is_enabled(thinking: &[u8]) -> bool {
    serde_json::from_slice::<ThinkingIn<'_>>(thinking)
        .is_ok_and(|thinking| thinking.r#type.is_some_and(|kind| kind.0 == "enabled"))
}

fn own_form(thinking: Option<&RawJson>, config: &[(String, RawJson)]) -> Option<RawJson> {
    let mut form = ObjectWriter::new();
    form.optional("thinking", thinking);
    if !config.is_empty() {
        form.optional("output_config", object(config).as_ref());
    }
    raw_json(form)
}

fn object(members: &[(String, RawJson)]) -> Option<RawJson> {
    let mut object = ObjectWriter::new();
    for (key, value) in members {
        object.member(key, value);
    }
    raw_json(object)
}

pub(super) fn raw_json(object: ObjectWriter) -> Option<RawJson> {
    String::from_utf8(object.finish()).ok().and_then(|text| RawJson::parse(text).ok())
}

/// The members that are there, of what is known to be an object.
fn members(object: Bytes) -> Vec<(String, RawJson)> {
    let Ok(object) = RawObject::parse(object) else { return Vec::new() };
    object
        .members()
        .filter(|member| member.value != b"null")
        .filter_map(|member| Some((member.key.to_owned(), object.read(member.key).ok().flatten()?)))
        .collect()
}

fn config_members(config: Bytes) -> Vec<(String, RawJson)> {
    let mut members = members(config);
    members.retain(|(key, _)| key != "format");
    members
}

/// Writes how much to think, for this target. `open_round` says that the conversation ends with
/// results of calls that were made without thinking: a budget is refused there.
pub(super) fn encode_reasoning(
    request: &Request,
    target: &EncodeTarget<'_>,
    max_tokens: u64,
    open_round: bool,
    dropped: &mut Dropped,
) -> ReasoningOut {
    let Some(reasoning) = &request.reasoning else { return ReasoningOut::default() };
    if request.origin == DIALECT {
        let own = encode_own(reasoning);
        let by_budget = match &own.thinking {
            Some(Thinking::Enabled { .. }) => true,
            Some(Thinking::Raw(raw)) => is_enabled(raw.get().as_bytes()),
            _ => false,
        };
        if open_round && by_budget {
            dropped.lose(&losses::MESSAGES_BUDGET, "thinking");
            return ReasoningOut { thinking: None, ..own };
        }
        return own;
    }
    if reasoning.effort.as_deref() == Some("none") || reasoning.budget_tokens == Some(0) {
        return ReasoningOut { thinking: Some(Thinking::Disabled {}), config: Vec::new() };
    }
    let Some(effort) = reasoning.effort.as_deref().or(reasoning.budget_tokens.map(effort_of_budget)) else {
        return ReasoningOut::default();
    };
    if !["minimal", "low", "medium", "high", "xhigh", "max"].contains(&effort) {
        dropped.lose(&losses::MESSAGES_EFFORT, "reasoning_effort");
        return ReasoningOut::default();
    }
    // A forced call and thinking exclude each other, and the call is the harder wish.
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)));
    if takes_effort(target.model) {
        let thinking = (!forced).then_some(Thinking::Adaptive {});
        return ReasoningOut { thinking, config: effort_member(effort) };
    }
    let budget = reasoning.budget_tokens.unwrap_or_else(|| budget_of_effort(effort));
    if forced || open_round || max_tokens <= MIN_BUDGET {
        dropped.lose(&losses::MESSAGES_EFFORT, "reasoning_effort");
        return ReasoningOut::default();
    }
    // Thinking counts towards the limit of output: at least half stays for the answer.
    let budget_tokens = budget.min(max_tokens / 2).max(MIN_BUDGET);
    ReasoningOut { thinking: Some(Thinking::Enabled { budget_tokens }), config: Vec::new() }
}

fn encode_own(reasoning: &Reasoning) -> ReasoningOut {
    if let Some(form) = reasoning.raw.as_ref().and_then(|raw| raw.read::<OwnForm>().ok()) {
        let config = form.output_config.map(|config| members(Bytes::from(config.get().to_owned())));
        return ReasoningOut {
            thinking: form.thinking.map(Thinking::Raw),
            config: config.unwrap_or_default(),
        };
    }
    let effort = reasoning.effort.as_deref();
    if effort == Some("none") {
        return ReasoningOut { thinking: Some(Thinking::Disabled {}), config: Vec::new() };
    }
    ReasoningOut {
        thinking: reasoning.budget_tokens.map(|budget_tokens| Thinking::Enabled { budget_tokens }),
        config: effort.map(effort_member).unwrap_or_default(),
    }
}

fn effort_member(effort: &str) -> Vec<(String, RawJson)> {
    let effort = if effort == "minimal" { "low" } else { effort };
    RawJson::of(&effort).map(|effort| vec![("effort".to_owned(), effort)]).unwrap_or_default()
}

/// Whether a model takes an effort and adaptive thinking instead of a budget: Claude from 4.6 on.
/// Other vendors that speak this dialect take budgets.
fn takes_effort(model: &str) -> bool {
    const BUDGET_ONLY: [&str; 11] = [
        "claude-2",
        "claude-3",
        "claude-instant",
        "opus-4-0",
        "opus-4-1",
        "opus-4-2025",
        "opus-4-5",
        "sonnet-4-0",
        "sonnet-4-2025",
        "sonnet-4-5",
        "haiku-4-5",
    ];
    let model = model.replace('.', "-");
    model.contains("claude")
        && !model.ends_with("opus-4")
        && !model.ends_with("sonnet-4")
        && !BUDGET_ONLY.iter().any(|old| model.contains(old))
}
