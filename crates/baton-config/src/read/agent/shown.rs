//! Shows agents as they are recorded with the configuration. No secret is part of it.

use serde_json::{Value, json};

use crate::agents::{Agent, Agents, Budget, Step, StepAction};

/// The content as it is recorded.
pub(crate) fn shown(agents: &Agents) -> Value {
    if agents.agents.is_empty() {
        return Value::Null;
    }
    let budget = |budget: &Budget| {
        serde_json::json!({
            "max_cost_nano_usd": budget.max_cost.map(|cost| cost.0),
            "max_tokens": budget.max_tokens,
            "max_time_ms": budget.max_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        })
    };
    let agent = |agent: &Agent| {
        serde_json::json!({
            "description": agent.description,
            "instruction": agent.instruction,
            "models": agent.models.iter().map(|model| serde_json::json!({
                "name": model.name,
                "settings": model.settings.iter().cloned().collect::<serde_json::Map<_, _>>(),
            })).collect::<Vec<_>>(),
            "policy": { "name": agent.policy.reference.name, "version": agent.policy.reference.version },
            "handoffs": agent.handoffs.iter().map(|edge| serde_json::json!({
                "agent": edge.agent,
                "description": edge.description,
                "returns": edge.returns,
                "additional_instructions": edge.additional_instructions,
                "enabled_if": edge.enabled_if.as_ref().map(|condition| &condition.text),
            })).collect::<Vec<_>>(),
            "sub_agents": agent.sub_agents.iter().map(|edge| serde_json::json!({
                "agent": edge.agent, "as": edge.tool, "description": edge.description,
            })).collect::<Vec<_>>(),
            "force_handoff": agent.force_handoff,
            "handoff_tool": agent.handoff_tool,
            "mcp": agent.servers,
            "filesystem": agent.folders,
            "tools": agent.client_tools,
            "max_iterations": agent.max_iterations,
            "budget": budget(&agent.budget),
            "structured_output": agent.structured_output,
            "before_handoff": agent.before_handoff.iter().map(step).collect::<Vec<_>>(),
            "on_end": agent.on_end.iter().map(step).collect::<Vec<_>>(),
            "background_agents": agent.background,
        })
    };
    let named = agents.agents.iter().map(|it| (it.name.clone(), agent(it)));
    serde_json::json!({
        "agents": Value::Object(named.collect()),
        // Their order says which comes first.
        "order": agents.agents.iter().map(|agent| &agent.name).collect::<Vec<_>>(),
        "budget": budget(&agents.budget),
    })
}

fn step(step: &Step) -> Value {
    let action = match &step.action {
        StepAction::Set(members) => json!({ "set": object(members) }),
        StepAction::Push(members) => json!({ "push": object(members) }),
        StepAction::Prepend(text) => json!({ "prepend": text }),
        StepAction::Append(text) => json!({ "append": text }),
        StepAction::Instructions(text) => json!({ "instructions": text }),
        StepAction::VetoIf { when, why } => json!({ "veto_if": when.text, "why": why }),
        StepAction::Tool { server, tool, arguments, into } => {
            json!({ "tool": { "server": server, "name": tool, "arguments": arguments, "into": into } })
        }
        StepAction::Webhook { webhook, conversation } => {
            json!({ "webhook": { "url": webhook.url, "secret": "[secret]", "conversation": conversation } })
        }
    };
    json!({
        "do": action,
        "deadline_ms": u64::try_from(step.deadline.as_millis()).unwrap_or(u64::MAX),
        "on_error": step.on_error,
    })
}

fn object(members: &[(String, Value)]) -> Value {
    Value::Object(members.iter().cloned().collect())
}
