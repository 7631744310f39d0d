//! Responses that can be read again, and that later requests go on from.
//!
//! Each is stored with the items that were new in its request. A conversation is the chain of
//! `previous_response_id`, read back to its beginning; so no item is stored twice, and a response that is
//! deleted takes what was said in it out of all conversations that went on from it.
//!
//! A response that is made in the background names its run. Whoever ends it ends the response first and the
//! run then: the first end of a response stays, so whoever resumes between the two finds what was decided.
//!
//! - Start with [`Responses`].
//! - **Invariant:** another principal's response is not there, and neither is one that has expired.
//! - **Invariant:** a conversation is whole or refused: nothing is left out of its middle.
//! - **Never here:** which responses are stored; status codes; how an answer becomes a response object.

mod chain;
mod id;
pub mod items;
mod port;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{RawJson, RunId};

pub use chain::ChainError;
pub use id::{NotOurs, ResponseId};
use items::{Item, ItemList, ItemPage};
pub use port::{Bounds, ResponseChange, ResponseRow, ResponseStatus, ResponseStore, Updated};

use crate::error::{StateError, StateErrorKind};
use crate::idempotency::Clock;
use crate::subject::Subject;
use crate::vault::{Place, Seal, Vault};

/// How many rows go in one transaction where many are removed.
const BATCH: u32 = 500;

/// How long responses are kept, and how far back a conversation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// From their beginning on.
    pub keep: Duration,
    /// Of one conversation.
    pub bounds: Bounds,
}

impl Keeping {
    /// 30 days; 500 responses and 32 MiB.
    pub const STANDARD: Self = Self {
        keep: Duration::from_secs(30 * 24 * 60 * 60),
        bounds: Bounds { depth: 500, bytes: 32 * 1024 * 1024 },
    };
}

/// The stored responses of one installation.
pub struct Responses {
    store: Arc<dyn ResponseStore>,
    vault: Vault,
    clock: Clock,
    keeping: Keeping,
}

/// A response that is to be stored.
#[derive(Clone, Copy)]
pub struct NewResponse<'a> {
    /// Its id.
    pub id: ResponseId,
    /// Who sent the request.
    pub principal: &'a str,
    /// Whose content it is.
    pub subject: &'a Subject,
    /// The run that makes it, where one does so in the background.
    pub run: Option<RunId>,
    /// The response it goes on from.
    pub previous: Option<ResponseId>,
    /// How far it is.
    pub status: ResponseStatus,
    /// The items that were new in the request.
    pub input: &'a [Item],
    /// The response object as it is now.
    pub body: &'a RawJson,
}

impl fmt::Debug for NewResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("NewResponse");
        shown.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// A response as it was stored.
#[derive(Clone, PartialEq)]
pub struct StoredResponse {
    /// Its id.
    pub id: ResponseId,
    /// Whose content it is.
    pub subject: Subject,
    /// The run that makes it, where one does so in the background.
    pub run: Option<RunId>,
    /// The response it goes on from.
    pub previous: Option<ResponseId>,
    /// How far it is.
    pub status: ResponseStatus,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// From when on it is not there any more.
    pub expires_ms: u64,
    /// The items that were new in its request.
    pub input: Vec<Item>,
    /// The response object.
    pub body: RawJson,
}

impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StoredResponse");
        shown.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

impl Responses {
    /// Responses in this store, sealed by this.
    #[must_use]
    pub fn new(store: Arc<dyn ResponseStore>, seal: Arc<dyn Seal>, clock: Clock, keeping: Keeping) -> Self {
        Self { store, vault: Vault::new(seal), clock, keeping }
    }

    /// Stores a response, at its beginning or at its end.
    ///
    /// # Errors
    /// When the store fails, or has one of this id.
    pub async fn create(&self, new: &NewResponse<'_>) -> Result<(), StateError> {
        let created_ms = (self.clock)();
        let input = items::to_list(new.input);
        let place = Places::new(new.id, new.subject);
        let keep_ms = u64::try_from(self.keeping.keep.as_millis()).unwrap_or(u64::MAX);
        let row = ResponseRow {
            id: new.id,
            principal: new.principal.to_owned(),
            subject: new.subject.clone(),
            run: new.run,
            previous: new.previous,
            status: new.status,
            created_ms,
            ended_ms: new.status.is_end().then_some(created_ms),
            expires_ms: created_ms.saturating_add(keep_ms),
            input_bytes: length(input.as_bytes()),
            body_bytes: length(new.body.get().as_bytes()),
            input: self.vault.close(&place.input(), input.as_bytes())?,
            body: self.vault.close(&place.body(), new.body.get().as_bytes())?,
        };
        self.store.insert_response(&row).await
    }

    /// Says how far a response is now. The first end stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn update(
        &self,
        principal: &str,
        subject: &Subject,
        id: ResponseId,
        status: ResponseStatus,
        body: &RawJson,
    ) -> Result<Updated, StateError> {
        let change = ResponseChange {
            id,
            principal: principal.to_owned(),
            status,
            ended_ms: status.is_end().then(|| (self.clock)()),
            body_bytes: length(body.get().as_bytes()),
            body: self.vault.close(&Places::new(id, subject).body(), body.get().as_bytes())?,
        };
        self.store.update_response(&change).await
    }

    /// The response of this id, if it is this principal's.
    ///
    /// # Errors
    /// When the store fails, or what it holds cannot be opened.
    pub async fn get(&self, principal: &str, id: ResponseId) -> Result<Option<StoredResponse>, StateError> {
        let row = self.store.response(principal, id, (self.clock)()).await?;
        row.map(|row| self.open(row)).transpose()
    }

    /// Removes the response of this id. Whether there was one of this principal.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, principal: &str, id: ResponseId) -> Result<bool, StateError> {
        self.store.delete_response(principal, id, (self.clock)()).await
    }

    /// The whole conversation that ends with this response, the oldest first.
    ///
    /// # Errors
    /// When there is none, a part of it is missing, it is too long, or its last response has not ended.
    pub async fn conversation(
        &self,
        principal: &str,
        id: ResponseId,
    ) -> Result<Vec<StoredResponse>, ChainError> {
        let rows = self.chain(principal, id).await?;
        chain::ended(&rows)?;
        Ok(rows.into_iter().map(|row| self.open(row)).collect::<Result<_, _>>()?)
    }

    /// A page of what the model was given for this response: the conversation before it, and its own input.
    ///
    /// # Errors
    /// When there is no such response, a part of the conversation is missing, or `after` names no item.
    pub async fn input_items(
        &self,
        principal: &str,
        id: ResponseId,
        page: &ItemPage,
    ) -> Result<ItemList, ChainError> {
        let rows = self.chain(principal, id).await?;
        let mut given = Vec::new();
        for row in rows {
            let is_last = row.id == id;
            let stored = self.open(row)?;
            given.extend(stored.input);
            if !is_last {
                given.extend(items::of_output(stored.id, &stored.body).map_err(unreadable)?);
            }
        }
        Ok(page.of(given)?)
    }

    /// Removes all that have expired, and says how many those were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_expired(&self) -> Result<u64, StateError> {
        let now_ms = (self.clock)();
        let mut removed = 0;
        // Written out, because an async closure is not `Send` enough for a task.
        loop {
            let batch = self.store.drop_expired_responses(now_ms, BATCH).await?;
            removed += batch;
            if batch < u64::from(BATCH) {
                return Ok(removed);
            }
        }
    }

    /// How many there are of this subject.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_of(&self, subject: &Subject) -> Result<u64, StateError> {
        self.store.count_responses(subject).await
    }

    /// Removes all of this subject, and says how many those were.
    ///
    /// # Errors
    /// When the store fails; some may be removed then.
    pub async fn erase(&self, subject: &Subject) -> Result<u64, StateError> {
        in_batches(BATCH, async || self.store.erase_responses(subject, BATCH).await).await
    }

    async fn chain(&self, principal: &str, id: ResponseId) -> Result<Vec<ResponseRow>, ChainError> {
        let bounds = self.keeping.bounds;
        let rows = self.store.response_chain(principal, id, (self.clock)(), bounds).await?;
        chain::whole(id, rows, bounds)
    }

    fn open(&self, row: ResponseRow) -> Result<StoredResponse, StateError> {
        let place = Places::new(row.id, &row.subject);
        let input = self.vault.open_json(&place.input(), &row.input)?;
        let input = items::from_list(&input)?;
        let body = self.vault.open_json(&place.body(), &row.body)?;
        Ok(StoredResponse {
            id: row.id,
            run: row.run,
            previous: row.previous,
            status: row.status,
            created_ms: row.created_ms,
            ended_ms: row.ended_ms,
            expires_ms: row.expires_ms,
            input,
            body,
            subject: row.subject,
        })
    }
}

impl fmt::Debug for Responses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses").field("keeping", &self.keeping).finish_non_exhaustive()
    }
}

/// The places of a response's content.
struct Places<'a> {
    subject: &'a Subject,
    row: String,
}

impl<'a> Places<'a> {
    fn new(id: ResponseId, subject: &'a Subject) -> Self {
        Self { subject, row: id.to_string() }
    }

    fn input(&self) -> Place<'_> {
        Place { subject: self.subject, column: "response.input", row: &self.row, part: "" }
    }

    fn body(&self) -> Place<'_> {
        Place { subject: self.subject, column: "response.body", row: &self.row, part: "" }
    }
}

/// Removes until a batch is not full. What is locked elsewhere is left to who has it.
pub(crate) async fn in_batches(
    limit: u32,
    remove: impl AsyncFn() -> Result<u64, StateError>,
) -> Result<u64, StateError> {
    let mut removed = 0;
    loop {
        let batch = remove().await?;
        removed += batch;
        if batch < u64::from(limit) {
            return Ok(removed);
        }
    }
}

fn unreadable(error: items::ItemError) -> StateError {
    StateError::new(StateErrorKind::Corrupt, "the store holds a response that cannot be read")
        .with_source(error)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
