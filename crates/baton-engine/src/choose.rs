//! Chooses a model without asking it: a decision that is recorded, and that the client carries out itself.
//!
//! - **Invariant:** the decision is synced before its id is given out.

use std::sync::Arc;

use baton_audit::{DecisionKind, Record};
use baton_policy::{Candidate, Features, Plan, Planned, Reason, plan};

use crate::consider::Purpose;
use crate::engine::not_recordable;
use crate::run::Run;
use crate::{Ask, Engine, Head, Refusal};

/// What is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choosing {
    /// A model for a task.
    Model,
    /// Whether the model that the client hands its conversation to may have it. The hand-over is the client's own.
    Handover,
}

/// What was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The decision.
    pub head: Head,
    /// The model, with what is known of it.
    pub candidate: Candidate,
    /// Why.
    pub reason: Reason,
    /// What the request needs.
    pub features: Features,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Engine {
    /// Plans a request, records what was decided, and calls nobody but a judge that the policy asks.
    ///
    /// # Errors
    /// [`Refusal`], with the decision behind it where nobody is left to choose.
    pub async fn choose(&self, ask: Ask, choosing: Choosing) -> Result<Chosen, Refusal> {
        self.admit()?;
        let ask = Arc::new(ask);
        // Nobody is called, so nobody's first call after a failure is claimed.
        let considered = self.outlook.consider(self.settings(), &ask, Purpose::Show)?;
        let mut run = Run::new(self, ask, considered);
        let (mut inputs, _) = run.plan.take().unwrap_or_default();
        let Plan { order, table, reason, .. } = loop {
            match plan(&run.pool.policy, run.settings.catalog.knowledge(), &inputs) {
                Planned::Plan(plan) => break plan,
                Planned::Ask(question) => {
                    inputs.judged = Some(Box::pin(self.ask_judge(&mut run, &inputs, &question)).await);
                }
            }
        };
        let first = order.first().and_then(|at| inputs.candidates.get(usize::try_from(*at).ok()?)).cloned();
        let features = inputs.features.clone();
        run.plan = Some((inputs, table));
        let Some(candidate) = first else { return Err(self.refuse(&mut run, reason).await) };
        let kind = match choosing {
            Choosing::Model => DecisionKind::Select,
            Choosing::Handover => DecisionKind::Observe,
        };
        let mut decision = run.decision(self, kind, Some(&candidate), None, reason.clone());
        decision.attempt = false;
        let (head, at_ms) = (run.head(&decision, Some(&candidate.target)), decision.at_ms);
        let receipt = self.journal.append(&Record::Decision(Box::new(decision)));
        let receipt = receipt.map_err(|error| not_recordable(&error))?;
        self.journal.synced(&receipt).await.map_err(|error| not_recordable(&error))?;
        Ok(Chosen { head, candidate, reason, features, at_ms })
    }
}
