//! What the routes are given by the composition root.

use std::sync::Arc;

use axum::extract::FromRef;
use baton_access::KeyRing;
use baton_audit::{AuditQueries, Decisions, FeedbackLog, IdSource};
use baton_engine::Engine;
use tokio::sync::Semaphore;

use crate::content::ContentDesk;

/// So many exports run at once: each holds a page in memory, and reads as fast as its reader.
const EXPORTS: usize = 4;

/// The parts that routes take their own few from.
#[derive(Clone, Debug)]
pub struct AdminState {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) ids: IdSource,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) feedback: FeedbackLog,
    pub(crate) queries: Arc<dyn AuditQueries>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) contents: Option<Arc<dyn ContentDesk>>,
}

impl AdminState {
    /// Who may ask, what is read, and what is configured. The time is the engine's.
    #[must_use]
    pub fn new(
        keys: Arc<KeyRing>,
        decisions: Arc<Decisions>,
        feedback: FeedbackLog,
        queries: Arc<dyn AuditQueries>,
        engine: Arc<Engine>,
    ) -> Self {
        let (ids, exports) = (engine.ids().clone(), Arc::new(Semaphore::new(EXPORTS)));
        Self { keys, ids, decisions, feedback, queries, engine, exports, contents: None }
    }

    /// Lets administrators read what was captured.
    #[must_use]
    pub fn with_contents(mut self, contents: Arc<dyn ContentDesk>) -> Self {
        self.contents = Some(contents);
        self
    }
}

impl FromRef<AdminState> for Arc<Decisions> {
    fn from_ref(state: &AdminState) -> Self {
        Self::clone(&state.decisions)
    }
}

impl FromRef<AdminState> for Arc<dyn AuditQueries> {
    fn from_ref(state: &AdminState) -> Self {
        Self::clone(&state.queries)
    }
}

impl FromRef<AdminState> for Arc<Engine> {
    fn from_ref(state: &AdminState) -> Self {
        Self::clone(&state.engine)
    }
}
