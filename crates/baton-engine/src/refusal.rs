//! Why a request gets no answer, as a kind that a surface turns into a status.

use std::time::Duration;

use baton_dialect::DecodeError;
use baton_model::{Fault, FaultKind};
use bytes::Bytes;

use crate::Head;

/// A request without an answer.
#[derive(Debug)]
pub struct Refusal {
    /// What to act on.
    pub kind: RefusalKind,
    /// A sentence for the client.
    pub message: String,
    /// The path of the member that is wrong.
    pub param: Option<String>,
    /// A stable code.
    pub code: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The decision behind it, where one was made.
    pub head: Option<Box<Head>>,
    /// The upstream's own error body, to be passed on as it is.
    pub upstream_body: Option<Bytes>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request is wrong.
    Invalid,
    /// No model of that name.
    UnknownModel,
    /// The key may not use any of the models.
    NotAllowed,
    /// No model of the pool can do what was asked.
    NotEligible,
    /// No model of the pool keeps the limits of the policy and the client.
    Unmet,
    /// A rule refuses the request.
    Forbidden,
    /// No model of the pool may be asked now.
    Unwell,
    /// The attempts failed; the last failure's kind.
    Failed(FaultKind),
    /// The journal cannot take a decision, so none is made.
    NotRecordable,
    /// What was passed through to a provider: its status is the client's business.
    NoProvider,
}

impl Refusal {
    /// A refusal with nothing but its kind and a sentence.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            head: None,
            upstream_body: None,
        }
    }

    pub(crate) fn failed(fault: Fault, head: Head) -> Self {
        Self {
            kind: RefusalKind::Failed(fault.kind),
            message: fault.message,
            param: fault.param,
            code: fault.code,
            retry_after: fault.retry_after,
            head: Some(Box::new(head)),
            upstream_body: None,
        }
    }
}

impl Refusal {
    /// The same for a client that has part of its answer already.
    pub(crate) fn into_fault(self) -> Fault {
        let kind = match self.kind {
            RefusalKind::Failed(kind) => kind,
            RefusalKind::NotRecordable | RefusalKind::Unwell => FaultKind::Overloaded,
            _ => FaultKind::Internal,
        };
        Fault::new(kind, self.message)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let mut refusal = Self::new(RefusalKind::Invalid, error.message);
        refusal.param = error.param;
        refusal
    }
}
