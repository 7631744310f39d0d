//! Stands between a transport and rmcp, and lets through what a gateway has use for.
//!
//! A server may send what nobody asked for: progress, log lines, questions. rmcp starts a task for each
//! and writes some of them into the log. Here they are counted and dropped; a server that sends too many
//! loses the connection.
//!
//! It also ends the wait for an answer to `server/discover`: a server of before 2026-07-28 may keep silent
//! about a method it does not know, and rmcp would wait longer than a request has.
//!
//! - **Invariant:** at most [`UNASKED_LIMIT`] messages that answer nothing pass in [`WINDOW`].

use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage,
    ServerNotification,
};
use rmcp::transport::Transport;
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::fault::Fault;

/// How long a server has to answer `server/discover` before it counts as one that does not know it.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// How many messages that answer nothing are read in a [`WINDOW`].
pub(crate) const UNASKED_LIMIT: u32 = 2_000;

/// The time after which the count begins again.
const WINDOW: Duration = Duration::from_secs(10);

/// A transport with a guard before it.
#[derive(Debug)]
pub(crate) struct Guard<T> {
    inner: T,
    trouble: Trouble,
    probe: Option<(RequestId, Instant)>,
    /// The probe that was given up: a late answer to it must not be taken for another's.
    late: Option<RequestId>,
    /// Requests sent and not answered yet.
    open: u64,
    unasked: u32,
    window: Instant,
}

impl<T> Guard<T> {
    pub(crate) fn new(inner: T, trouble: Trouble) -> Self {
        Self { inner, trouble, probe: None, late: None, open: 0, unasked: 0, window: Instant::now() }
    }

    /// Counts a message that answers nothing; `false` when there were too many.
    fn count(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.window) >= WINDOW {
            self.window = now;
            self.unasked = 0;
        }
        self.unasked += 1;
        self.unasked <= UNASKED_LIMIT
    }

    /// Whether a message goes on to rmcp; `None` ends the connection.
    fn admit(&mut self, message: &ServerJsonRpcMessage) -> Option<bool> {
        let (answers, passes) = match message {
            ServerJsonRpcMessage::Response(response) => self.settle(Some(&response.id)),
            ServerJsonRpcMessage::Error(error) => self.settle(error.id.as_ref()),
            // rmcp answers it, with a refusal.
            ServerJsonRpcMessage::Request(_) => (false, true),
            ServerJsonRpcMessage::Notification(notification) => (
                false,
                matches!(
                    notification.notification,
                    ServerNotification::ToolListChangedNotification(_)
                        | ServerNotification::SubscriptionsAcknowledgedNotification(_)
                        | ServerNotification::CancelledNotification(_)
                ),
            ),
        };
        (answers || self.count()).then_some(passes)
    }

    /// Whether an answer was waited for, and whether it goes on. rmcp knows which ids are open; here
    /// it is enough that no more answers come than questions went.
    fn settle(&mut self, id: Option<&RequestId>) -> (bool, bool) {
        if self.probe.as_ref().is_some_and(|(probe, _)| id.is_none_or(|id| id == probe)) {
            self.probe = None;
        }
        if id.is_some() && self.late.as_ref() == id {
            self.late = None;
            return (false, false);
        }
        let answers = self.open > 0;
        self.open = self.open.saturating_sub(1);
        (answers, true)
    }
}

impl<T> Transport<RoleClient> for Guard<T>
where
    T: Transport<RoleClient>,
{
    type Error = T::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let ClientJsonRpcMessage::Request(request) = &item {
            self.open += 1;
            if matches!(request.request, ClientRequest::DiscoverRequest(_)) {
                self.probe = Some((request.id.clone(), Instant::now() + PROBE_TIMEOUT));
            }
        }
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let received = match &self.probe {
                None => self.inner.receive().await,
                Some((id, deadline)) => {
                    match tokio::time::timeout_at(*deadline, self.inner.receive()).await {
                        Ok(received) => received,
                        Err(_elapsed) => {
                            let id = id.clone();
                            self.late = Some(id.clone());
                            self.probe = None;
                            let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no answer", None);
                            return Some(ServerJsonRpcMessage::error(error, Some(id)));
                        }
                    }
                }
            };
            let message = received?;
            match self.admit(&message) {
                Some(true) => return Some(message),
                Some(false) => {}
                None => {
                    self.trouble.set(Fault::Flooded);
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests;
