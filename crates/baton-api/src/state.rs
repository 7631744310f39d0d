//! What the surfaces are given by the composition root.

use std::sync::Arc;

use axum::extract::FromRef;
use baton_audit::Decisions;
use baton_engine::Engine;
use baton_net::tasks::Tasks;
use baton_state::{Compactions, Idempotency, Responses};

use crate::stored::Shelf;
use crate::{FeedbackDesk, Gate, RunDesk};

/// The parts that surfaces take their own few from.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// Carries requests out.
    pub engine: Arc<Engine>,
    /// Lets callers in.
    pub gate: Arc<Gate>,
    /// The keys under which clients repeat requests.
    pub idempotency: Arc<Idempotency>,
    /// The responses that can be read again, where they are stored.
    pub responses: Option<Arc<Responses>>,
    /// Seals summaries of conversations for clients, and opens them.
    pub compactions: Arc<Compactions>,
    /// Where runs are taken in and carried out.
    pub runs: RunDesk,
    /// Where requests run that outlive the connection they came by.
    pub tasks: Tasks,
    /// Reads decisions back.
    pub decisions: Arc<Decisions>,
    /// Takes what is said of decisions.
    pub feedback: FeedbackDesk,
    /// Knows how the process stands.
    pub status: Arc<dyn StatusSource>,
}

/// Whether the process can serve, and why not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether new requests should come here.
    pub ready: bool,
    /// The version of the configuration in force.
    pub config: String,
    /// Bytes that the store does not have yet.
    pub journal_backlog_bytes: u64,
    /// Age of the oldest of them, in milliseconds.
    pub relay_lag_ms: u64,
    /// Whether the store answered last time.
    pub store: &'static str,
    /// What is wrong, where something is.
    pub problems: Vec<String>,
}

/// What `/readyz` and `/metrics` show.
pub trait StatusSource: Send + Sync + std::fmt::Debug {
    /// How the process stands now.
    fn readiness(&self) -> Readiness;
    /// All metrics in Prometheus' text form.
    fn metrics(&self) -> String;
}

impl FromRef<ApiState> for Arc<Engine> {
    fn from_ref(state: &ApiState) -> Self {
        Self::clone(&state.engine)
    }
}

impl FromRef<ApiState> for Arc<Gate> {
    fn from_ref(state: &ApiState) -> Self {
        Self::clone(&state.gate)
    }
}

impl FromRef<ApiState> for Arc<Decisions> {
    fn from_ref(state: &ApiState) -> Self {
        Self::clone(&state.decisions)
    }
}

impl FromRef<ApiState> for FeedbackDesk {
    fn from_ref(state: &ApiState) -> Self {
        state.feedback.clone()
    }
}

impl FromRef<ApiState> for Arc<dyn StatusSource> {
    fn from_ref(state: &ApiState) -> Self {
        Self::clone(&state.status)
    }
}

impl FromRef<ApiState> for Shelf {
    fn from_ref(state: &ApiState) -> Self {
        Self::new(state.responses.clone(), Arc::clone(&state.compactions), state.runs.clone())
    }
}

impl FromRef<ApiState> for RunDesk {
    fn from_ref(state: &ApiState) -> Self {
        state.runs.clone()
    }
}
