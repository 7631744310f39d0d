//! Plans a request without carrying it out: nothing is called, claimed or recorded.

use std::sync::Arc;

use baton_policy::{Inputs, PLANNER_VERSION, Planned, RuleOutcome, plan};

use crate::consider::{Considered, Outlook, Purpose};
use crate::{Ask, Engine, Refusal, Settings};

/// What would be decided now.
#[derive(Debug)]
pub struct DryRun {
    /// The planner's version.
    pub planner: u32,
    /// What the plan was made from.
    pub inputs: Box<Inputs>,
    /// The plan, or the question that a judge would be asked first.
    pub planned: Planned,
    /// The rules in their order, and whether each matched.
    pub rules: Vec<(String, RuleOutcome)>,
    /// What of the request is not followed.
    pub ignored: Vec<String>,
}

impl Outlook {
    /// Plans a request as it would be planned now.
    ///
    /// # Errors
    /// [`Refusal`] where the request names nothing that is known.
    pub fn dry_run(&self, settings: Arc<Settings>, ask: &Ask) -> Result<DryRun, Refusal> {
        let Considered { settings, pool, inputs, .. } = self.consider(settings, ask, Purpose::Show)?;
        let planned = plan(&pool.policy, settings.catalog.knowledge(), &inputs);
        let rules = pool.policy.trace(&inputs);
        let ignored = ask.ignored.iter().cloned().chain(pool.ignored(ask)).collect();
        Ok(DryRun { planner: PLANNER_VERSION, inputs, planned, rules, ignored })
    }
}

impl Engine {
    /// Plans a request as it would be planned now.
    ///
    /// # Errors
    /// [`Refusal`] where the request names nothing that is known.
    pub fn dry_run(&self, ask: &Ask) -> Result<DryRun, Refusal> {
        self.outlook.dry_run(self.settings(), ask)
    }
}
