//! Opens the servers of tools that a request or a rule names, each once, and counts what they offer.

use std::time::Duration;

use baton_model::RawJson;
use baton_policy::{Inputs, Plan, Planned, Policy, plan};
use baton_tools::{ServerRef, ToolSet};

use crate::run::Run;
use crate::{Engine, Refusal, RefusalKind};

/// How long servers of tools may take to say what they have, whatever the time to connect that is configured.
const PATIENCE: Duration = Duration::from_secs(60);

impl Engine {
    /// The tools of the servers that a request names.
    pub(crate) async fn open_tools(
        &self,
        named: &RawJson,
        ignored: &mut Vec<String>,
    ) -> Result<ToolSet, Refusal> {
        let refs = server_refs(named)?;
        let members = refs.iter().flat_map(ServerRef::ignored);
        ignored.extend(members.map(|member| format!("mcp_servers[].{}", crate::ledger::cut(member, 64))));
        Ok(self.tools.open(&refs, PATIENCE).await)
    }

    /// The plan and the tools, with those that the plan's rule brings.
    ///
    /// They count as the request's own do, so that it is planned once more: a model that calls no tools is of
    /// no use then. Where another rule would match with them, the first plan stands, and they are not counted.
    pub(crate) async fn bring_tools(
        &self,
        run: &Run,
        inputs: &mut Inputs,
        planned: Plan,
        tools: Option<ToolSet>,
    ) -> (Plan, Option<ToolSet>) {
        let policy = &run.pool.policy;
        let refs: Vec<ServerRef> = brought(policy, &planned).iter().map(ServerRef::slug).collect();
        let (tools, before) = match tools {
            Some(mut tools) => {
                let before = tools.tools().len();
                self.tools.open_more(&mut tools, &refs, PATIENCE).await;
                (tools, before)
            }
            None => (self.tools.open(&refs, PATIENCE).await, 0),
        };
        let more = u32::try_from(tools.tools().len() - before).unwrap_or(u32::MAX);
        if more == 0 {
            return (planned, Some(tools));
        }
        let counted = inputs.features.tools;
        inputs.features.tools = counted.saturating_add(more);
        match plan(policy, run.settings.catalog.knowledge(), inputs) {
            Planned::Plan(again) if again.rule == planned.rule => (again, Some(tools)),
            _ => {
                inputs.features.tools = counted;
                (planned, Some(tools))
            }
        }
    }
}

/// The servers that the rule of a plan adds.
pub(crate) fn brought<'p>(policy: &'p Policy, planned: &Plan) -> &'p [String] {
    let rule = planned.rule.and_then(|at| policy.document.rules.get(usize::try_from(at).ok()?));
    rule.map_or(&[], |rule| &rule.then.mcp_servers)
}

fn server_refs(named: &RawJson) -> Result<Vec<ServerRef>, Refusal> {
    let wrong = |message: String| {
        let mut refusal = Refusal::new(RefusalKind::Invalid, message);
        refusal.param = Some("mcp_servers".to_owned());
        refusal
    };
    let named = named.read().map_err(|_error| wrong("`mcp_servers` cannot be read".to_owned()))?;
    ServerRef::read(&named).map_err(|error| wrong(error.to_string()))
}
