//! Remembers why a connection failed.
//!
//! rmcp tells that a transport closed, rarely why. The parts below it see the cause, and leave it here.

use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::Fault;

/// The last fault of a connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<Fault>>>);

impl Trouble {
    pub(crate) fn set(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    pub(crate) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
