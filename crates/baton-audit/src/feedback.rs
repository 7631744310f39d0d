//! Takes what callers say of decisions afterwards, and reads it back.
//!
//! - Start with [`FeedbackLog::add`].
//! - **Invariant:** feedback adds a record and changes none; it is on the disk when `add` returns.
//! - **Never here:** whose decision it is, and sealing; the surface sees to both.

use std::collections::HashMap;
use std::sync::Arc;

use baton_model::DecisionId;

use crate::journal::{Journal, JournalError};
use crate::store::{AuditQueries, FeedbackQuery, StoreError, StoreErrorKind};
use crate::{Feedback, Record, RunView};

/// What was said of the decisions of one run, by decision, oldest first.
pub type FeedbackByDecision = HashMap<DecisionId, Vec<Feedback>>;

/// What callers say of decisions.
#[derive(Clone, Debug)]
pub struct FeedbackLog {
    journal: Arc<Journal>,
    store: Arc<dyn AuditQueries>,
}

impl FeedbackLog {
    /// Of a run, no more is read back than this.
    pub const MAX_OF_RUN: u32 = 100;

    /// Feedback goes into this journal, and is read back from this store.
    #[must_use]
    pub fn new(journal: Arc<Journal>, store: Arc<dyn AuditQueries>) -> Self {
        Self { journal, store }
    }

    /// Records feedback, and returns once it is on the disk.
    ///
    /// # Errors
    /// When the journal is full or fails.
    pub async fn add(&self, feedback: Feedback) -> Result<(), JournalError> {
        let receipt = self.journal.append(&Record::Feedback(feedback))?;
        self.journal.synced(&receipt).await
    }

    /// What was said of the decisions of a run, as far as it has reached the store: one question.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of_run(&self, run: &RunView) -> Result<FeedbackByDecision, StoreError> {
        let decisions: Vec<DecisionId> = run.decisions.iter().map(|view| view.decision.id).collect();
        let mut found = FeedbackByDecision::new();
        if decisions.is_empty() {
            return Ok(found);
        }
        let query = FeedbackQuery { decisions, after: None, limit: Self::MAX_OF_RUN };
        for row in self.store.feedback(&query).await? {
            let feedback = read(&row.record)?;
            found.entry(feedback.decision).or_default().push(feedback);
        }
        Ok(found)
    }
}

fn read(record: &str) -> Result<Feedback, StoreError> {
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt, "a stored record cannot be read");
    match serde_json::from_str(record) {
        Ok(Record::Feedback(feedback)) => Ok(feedback),
        Ok(_) => Err(corrupt()),
        Err(error) => Err(corrupt().with_source(error)),
    }
}
