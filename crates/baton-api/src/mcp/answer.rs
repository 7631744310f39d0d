//! Answers the calls of the tools: each is a request that is planned, recorded, and not carried out.

use baton_audit::utc;
use baton_engine::{Ask, Choosing, Chosen, Refusal, RefusalKind};
use baton_model::Dialect;
use baton_policy::{Need, TaskKind};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Limits};
use super::error::{RpcError, shown};
use super::message::Message;
use super::{Answered, Call, package, tools};
use crate::ask;
use crate::reply::head_headers;
use crate::surface::Surface;

const SURFACE: Surface = Surface { path: "/mcp", dialect: Dialect::OpenaiChat };

/// What a tool comes to: its members, and the text that stands beside them where that is not the members.
struct Found {
    chosen: Chosen,
    members: Value,
    text: Option<String>,
}

/// A plan that did not come to a model: one for the model that asks, or one for its client.
enum Missed {
    Refused(Box<Refusal>),
    Wrong(RpcError),
}

impl From<RpcError> for Missed {
    fn from(error: RpcError) -> Self {
        Self::Wrong(error)
    }
}

impl Call<'_> {
    /// The result of a call.
    pub(super) async fn tool(&self, message: &Message) -> Result<Answered, RpcError> {
        let Some(name) = message.params.get("name").and_then(Value::as_str) else {
            return Err(RpcError::invalid_params("name", "`name` must be the name of a tool"));
        };
        let none = Map::new();
        let arguments = match message.params.get("arguments") {
            None | Some(Value::Null) => &none,
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(RpcError::invalid_params("arguments", "`arguments` must be an object")),
        };
        let arguments = Arguments(arguments);
        let found = match name {
            tools::SELECT => self.select(&arguments).await,
            tools::ROUTE => self.route(&arguments).await,
            tools::PREPARE => self.prepare(&arguments).await,
            other => {
                let names = [tools::SELECT, tools::ROUTE, tools::PREPARE].join("`, `");
                let message = format!("there is no tool `{}`; there are `{names}`", shown(other));
                return Err(RpcError::invalid_params("name", message));
            }
        };
        match found {
            Ok(found) => Ok(answered(found)),
            Err(Missed::Wrong(error)) => Err(error),
            Err(Missed::Refused(refusal)) => self.refused(*refusal),
        }
    }

    async fn select(&self, arguments: &Arguments<'_>) -> Result<Found, Missed> {
        let task = arguments.text("task")?;
        let models = self.engine.settings().specialists.select.clone();
        let own = wishes(&arguments.limits()?);
        let chosen = self.choose(&models, task, own, Choosing::Model).await?;
        let (model, target) = (chosen.candidate.model.to_string(), chosen.candidate.target.to_string());
        let members = json!({ "result": model, "target": target });
        Ok(Found { chosen, members, text: Some(model) })
    }

    async fn route(&self, arguments: &Arguments<'_>) -> Result<Found, Missed> {
        let (content, kind) = (arguments.text("content")?, arguments.text("analysis_type")?);
        let settings = self.engine.settings();
        let Some(specialist) = settings.specialists.for_work(kind) else {
            return Err(
                RpcError::invalid_params("arguments.analysis_type", "there is no specialist here").into()
            );
        };
        let own = match specialist.name.parse::<TaskKind>() {
            Ok(task) => json!({ "task": task.as_str() }),
            Err(_own_word) => json!({}),
        };
        let chosen = self.choose(&specialist.models, content, own, Choosing::Model).await?;
        let members = json!({
            "content": content,
            "routing": {
                "model": chosen.candidate.model,
                "prompt_style": specialist.prompt_style,
                "focus": specialist.focus,
            },
            "ready_for_handoff": true,
        });
        Ok(Found { chosen, members, text: None })
    }

    async fn prepare(&self, arguments: &Arguments<'_>) -> Result<Found, Missed> {
        let (task, context) = (arguments.text("task")?, arguments.object("current_context")?);
        let target = arguments.text("target_model")?.to_owned();
        let instructions = arguments.text("handoff_instructions")?;
        // The context goes to the target too, so it counts where the window is looked at.
        let told = format!("{task}\n\n{instructions}\n\n{}", Value::Object(context.clone()));
        let chosen = self.choose(&[target], &told, json!({}), Choosing::Handover).await?;
        let members = json!({
            "original_task": task,
            "context": context,
            "target_model": chosen.candidate.model,
            "instructions": instructions,
            "timestamp": utc(chosen.at_ms),
            "handoff_metadata": package::metadata(task, &chosen.features, &chosen.candidate.facts),
        });
        Ok(Found { chosen, members, text: None })
    }

    /// Plans a task for these models and records what was decided.
    async fn choose(
        &self,
        models: &[String],
        task: &str,
        own: Value,
        choosing: Choosing,
    ) -> Result<Chosen, Missed> {
        let ask = self.ask(models, task, own)?;
        self.engine.choose(ask, choosing).await.map_err(|refusal| Missed::Refused(Box::new(refusal)))
    }

    /// The task as a request for an answer, so that it is read and planned as one.
    fn ask(&self, models: &[String], task: &str, own: Value) -> Result<Ask, RpcError> {
        let named = match models {
            [one] => ("model", json!(one)),
            many => ("models", json!(many)),
        };
        let messages = json!([{ "role": "user", "content": task }]);
        let body = Value::from_iter([("messages", messages), ("baton", own), named]);
        let body = Bytes::from(body.to_string());
        ask::read(SURFACE, self.request, self.principal, self.headers, None, body)
            .map_err(|error| RpcError::refused(error, self.request))
    }

    /// A refusal of the policy is an answer for the model that asks; what it cannot help is its client's.
    fn refused(&self, refusal: Refusal) -> Result<Answered, RpcError> {
        if matches!(refusal.kind, RefusalKind::NotRecordable | RefusalKind::Failed(_)) {
            return Err(RpcError::refused(refusal.into(), self.request));
        }
        let mut meta = Map::new();
        if let Some(head) = &refusal.head {
            meta.insert("baton/decision_id".to_owned(), Value::from(head.decision.to_string()));
        }
        if let Some(code) = &refusal.code {
            meta.insert("baton/code".to_owned(), Value::from(code.as_str()));
        }
        let mut answered = Answered::from(json!({
            "content": [{ "type": "text", "text": refusal.message }],
            "isError": true,
            "_meta": meta,
        }));
        if let Some(head) = &refusal.head {
            head_headers(head, &mut answered.headers);
        }
        Ok(answered)
    }
}

/// The limits, as wishes of the request and as variables for rules.
///
/// What a model can do or not do is demanded. What it is for is a preference: it says the kind of task, and is
/// true for rules.
fn wishes(limits: &Limits) -> Value {
    let mut variables = Map::new();
    let mut hard = Map::new();
    if let Some(cost) = limits.max_cost {
        variables.insert("max_cost".to_owned(), json!(cost));
        hard.insert("max_cost_usd".to_owned(), json!(cost));
    }
    if let Some(limit) = limits.max_latency {
        variables.insert("max_latency".to_owned(), json!(limit));
        hard.insert("max_latency_ms".to_owned(), json!(limit));
    }
    for name in &limits.capabilities {
        variables.insert(name.clone(), Value::Bool(true));
    }
    let (able, good): (Vec<&String>, Vec<&String>) =
        limits.capabilities.iter().partition(|name| matches!(Need::named(name), Need::Can(_)));
    if !able.is_empty() {
        hard.insert("capabilities".to_owned(), json!(able));
    }
    let task = good.iter().find_map(|name| name.parse::<TaskKind>().ok());
    json!({ "context": variables, "constraints": hard, "task": task.map(TaskKind::as_str) })
}

fn answered(found: Found) -> Answered {
    let Found { chosen, mut members, text } = found;
    let Chosen { head, reason, .. } = chosen;
    if let Value::Object(members) = &mut members {
        members.insert("reason".to_owned(), json!(reason));
        members.insert("policy".to_owned(), Value::from(head.policy.clone()));
        members.insert("decision_id".to_owned(), Value::from(head.decision.to_string()));
        members.insert("run_id".to_owned(), Value::from(head.run.to_string()));
    }
    let text = text.unwrap_or_else(|| members.to_string());
    let mut answered = Answered::from(json!({
        "content": [{ "type": "text", "text": text }],
        "structuredContent": members,
        "isError": false,
    }));
    head_headers(&head, &mut answered.headers);
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(capabilities: &[&str]) -> Value {
        let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
        wishes(&Limits { max_cost: Some(0.005), max_latency: Some(900), capabilities })
    }

    #[test]
    fn what_a_model_must_be_able_to_do_is_demanded_and_what_it_is_for_is_the_kind_of_task() {
        assert_eq!(
            of(&["tools", "creative"]),
            json!({
                "context": {"max_cost": 0.005, "max_latency": 900, "tools": true, "creative": true},
                "constraints": {"max_cost_usd": 0.005, "max_latency_ms": 900, "capabilities": ["tools"]},
                "task": "creative_writing",
            })
        );
    }

    #[test]
    fn a_word_that_nobody_knows_is_a_variable_for_rules() {
        let wishes = of(&["kindness"]);
        assert_eq!((&wishes["context"]["kindness"], &wishes["task"]), (&json!(true), &Value::Null));
    }
}
