//! Answers what was decided, from the journal where the store does not know yet, else from the store.
//!
//! - Start with [`Decisions::get`].
//! - **Invariant:** a decision that this process wrote can be read at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{BootId, DecisionId, NanoUsd, RunId};

use crate::journal::{Found, Journal, JournalError};
use crate::row::{CorrectionRow, storable};
use crate::store::{AuditStore, ListQuery, StoreError, StoreErrorKind, StoredDecision};
use crate::{Decision, Document, Outcome};

/// How long another replica's decision may take to arrive, in milliseconds.
const RELAY_LAG_MS: u64 = 10_000;
/// So long the store may take to say what was corrected of a decision that the journal has.
const STORE_MAY_TAKE: Duration = Duration::from_secs(1);

/// A decision, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionView {
    /// The decision as recorded.
    pub decision: Decision,
    /// What became of it.
    pub outcome: OutcomeView,
    /// What its attempt cost, where that was counted anew; the latest last, and that one counts.
    pub corrections: Vec<CorrectionRow>,
}

impl DecisionView {
    /// What the attempt cost, as it is counted now.
    #[must_use]
    pub fn cost(&self) -> Option<NanoUsd> {
        self.corrections.last().map(|row| NanoUsd(row.cost_nano)).or_else(|| self.first_cost())
    }

    /// What the attempt cost, as its outcome says.
    #[must_use]
    pub fn first_cost(&self) -> Option<NanoUsd> {
        match &self.outcome {
            OutcomeView::Recorded(outcome) => outcome.cost,
            OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
        }
    }
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeView {
    /// Nothing was sent.
    NotExpected,
    /// The attempt is under way.
    Running,
    /// The process died before the attempt ended: how it ended is not known.
    Crashed,
    /// The attempt ended.
    Recorded(Box<Outcome>),
}

/// All decisions of a run, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// The run.
    pub run: RunId,
    /// Its decisions.
    pub decisions: Vec<DecisionView>,
}

/// The answer to a question for one id.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<T> {
    /// It is known.
    Found(T),
    /// Another replica may have written it a moment ago.
    NotYetVisible,
    /// There is no such id.
    NotFound,
}

/// A page of decisions, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecisionPage {
    /// The decisions.
    pub decisions: Vec<DecisionView>,
    /// Whether there are more in the direction of reading.
    pub has_more: bool,
}

/// Why a question has no answer now.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// The store did not answer.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}

/// Reads the audit log.
#[derive(Clone, Debug)]
pub struct Decisions {
    journal: Arc<Journal>,
    store: Arc<dyn AuditStore>,
}

impl Decisions {
    /// A reader of what this journal and this store hold.
    #[must_use]
    pub fn new(journal: Arc<Journal>, store: Arc<dyn AuditStore>) -> Self {
        Self { journal, store }
    }

    /// One decision.
    ///
    /// # Errors
    /// When the store is needed and does not answer.
    pub async fn get(&self, id: DecisionId) -> Result<Lookup<DecisionView>, DecisionsError> {
        let (found, is_local) = self.find(id).await?;
        Ok(match found {
            Lookup::Found(mut view) if is_local => {
                // The answer does not depend on the store.
                match tokio::time::timeout(STORE_MAY_TAKE, self.store.corrections(&[id])).await {
                    Ok(Ok(corrections)) => view.corrections = corrections,
                    Ok(Err(_)) | Err(_) => tracing::debug!("a decision is shown as the journal has it"),
                }
                Lookup::Found(view)
            }
            found => found,
        })
    }

    /// One decision, and whether it is the journal's: what was said of it later is then still to be asked for.
    async fn find(&self, id: DecisionId) -> Result<(Lookup<DecisionView>, bool), DecisionsError> {
        let found = self.journal.find(id)?;
        if let Some(view) = self.whole(&found) {
            return Ok((Lookup::Found(view), true));
        }
        let Some(stored) = self.store.decision(id).await? else {
            return Ok((self.missing(id.unix_ms()), false));
        };
        let (view, is_corrected) = self.view(stored, found)?;
        let mut views = [view];
        self.correct(&mut views, if is_corrected { vec![id] } else { Vec::new() }).await?;
        let [view] = views;
        Ok((Lookup::Found(view), false))
    }

    /// Adds what was corrected of these decisions.
    async fn correct(
        &self,
        views: &mut [DecisionView],
        corrected: Vec<DecisionId>,
    ) -> Result<(), DecisionsError> {
        if corrected.is_empty() {
            return Ok(());
        }
        let mut rows: HashMap<DecisionId, Vec<CorrectionRow>> = HashMap::new();
        for row in self.store.corrections(&corrected).await? {
            rows.entry(row.decision).or_default().push(row);
        }
        for view in views {
            view.corrections = rows.remove(&view.decision.id).unwrap_or_default();
        }
        Ok(())
    }

    /// Everything that was decided in the run of a decision.
    ///
    /// # Errors
    /// When the store is needed and does not answer.
    pub async fn chain_of(&self, id: DecisionId) -> Result<Lookup<RunView>, DecisionsError> {
        match self.find(id).await?.0 {
            Lookup::Found(view) => self.run(view.decision.run).await,
            Lookup::NotYetVisible => Ok(Lookup::NotYetVisible),
            Lookup::NotFound => Ok(Lookup::NotFound),
        }
    }

    /// Everything that was decided in a run.
    ///
    /// A run that is whole in the journal is answered while the store is away.
    ///
    /// # Errors
    /// When the store is needed and does not answer.
    pub async fn run(&self, run: RunId) -> Result<Lookup<RunView>, DecisionsError> {
        let local = self.journal.find_run(run)?;
        let stored = match self.store.run(run).await {
            Ok(stored) => stored,
            Err(error) if begins_whole(&local) => {
                tracing::debug!(error = %error, "a run is shown from the journal");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let mut decisions = Vec::with_capacity(stored.len() + local.len());
        let mut corrected = Vec::new();
        for row in stored {
            let found = self.journal.find(row.row.id)?;
            let id = row.row.id;
            let (view, is_corrected) = self.view(row, found)?;
            corrected.extend(is_corrected.then_some(id));
            decisions.push(view);
        }
        self.correct(&mut decisions, corrected).await?;
        for found in local {
            let view = self.whole(&found);
            decisions.extend(
                view.filter(|view| decisions.iter().all(|known| known.decision.id != view.decision.id)),
            );
        }
        if decisions.is_empty() {
            return Ok(self.missing(run.unix_ms()));
        }
        Ok(Lookup::Found(RunView { run, decisions }))
    }

    /// A page of decisions. It shows what has reached the store, normally within a second.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, query: &ListQuery) -> Result<DecisionPage, DecisionsError> {
        let page = self.store.list(query).await?;
        let mut decisions = Vec::with_capacity(page.rows.len());
        let mut corrected = Vec::new();
        for stored in page.rows {
            let found = match stored.row.outcome {
                None if stored.row.attempt => self.journal.find(stored.row.id)?,
                _ => Found::default(),
            };
            let id = stored.row.id;
            let (view, is_corrected) = self.view(stored, found)?;
            corrected.extend(is_corrected.then_some(id));
            decisions.push(view);
        }
        self.correct(&mut decisions, corrected).await?;
        Ok(DecisionPage { decisions, has_more: page.has_more })
    }

    /// A document that decisions refer to by its hash.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn document(&self, hash: &str) -> Result<Option<Document>, DecisionsError> {
        Ok(self.store.document(hash).await?)
    }

    /// The view of a decision that the journal has.
    fn whole(&self, found: &Found) -> Option<DecisionView> {
        let (decision, boot, _) = found.decision.as_ref()?;
        let recorded = found.outcome.as_ref().map(|(outcome, ..)| outcome.clone());
        let outcome = self.outcome(decision.attempt, recorded, *boot, false);
        Some(DecisionView { decision: (**decision).clone(), outcome, corrections: Vec::new() })
    }

    /// The view of a row, with the outcome of the journal where the store has none yet, and whether its cost is
    /// another one than the outcome says.
    fn view(&self, stored: StoredDecision, found: Found) -> Result<(DecisionView, bool), StoreError> {
        let StoredDecision { row, record, outcome, boot_ended } = stored;
        let decision: Decision = read(record)?;
        let recorded = match row.outcome {
            Some(_) => Some(Box::new(read::<Outcome>(outcome)?)),
            None => found.outcome.map(|(outcome, ..)| outcome),
        };
        // A row that was led to another place is not answered with what stands there.
        let is_own = recorded.as_ref().is_none_or(|outcome| outcome.decision == row.id);
        if decision.id != row.id || !is_own {
            let message = "a stored row is not of the record where it says it stands";
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        let counted = row.outcome.as_ref().and_then(|outcome| outcome.cost_nano);
        let first = recorded.as_ref().and_then(|outcome| outcome.cost).map(|cost| storable(cost.0));
        let is_corrected = row.outcome.is_some() && counted != first;
        let outcome = self.outcome(row.attempt, recorded, row.boot, boot_ended);
        Ok((DecisionView { decision, outcome, corrections: Vec::new() }, is_corrected))
    }

    fn outcome(
        &self,
        attempt: bool,
        recorded: Option<Box<Outcome>>,
        boot: BootId,
        boot_ended: bool,
    ) -> OutcomeView {
        match recorded {
            Some(outcome) => OutcomeView::Recorded(outcome),
            None if !attempt => OutcomeView::NotExpected,
            None if boot == self.journal.boot() => OutcomeView::Running,
            None if boot_ended || self.journal.recovered_boots().contains(&boot) => OutcomeView::Crashed,
            None => OutcomeView::Running,
        }
    }

    fn missing<T>(&self, made_ms: u64) -> Lookup<T> {
        let age = self.journal.clock().now_ms().saturating_sub(made_ms);
        if age < RELAY_LAG_MS { Lookup::NotYetVisible } else { Lookup::NotFound }
    }
}

/// Whether the first decision of the run is among these, and so all of them are.
fn begins_whole(local: &[Found]) -> bool {
    let first = local.first().and_then(|found| found.decision.as_ref());
    first.is_some_and(|(decision, ..)| decision.parent.is_none())
}

fn read<T: serde::de::DeserializeOwned>(record: Option<String>) -> Result<T, StoreError> {
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt, "a stored record cannot be read");
    let record = record.ok_or_else(corrupt)?;
    serde_json::from_str(&record).map_err(|error| corrupt().with_source(error))
}
