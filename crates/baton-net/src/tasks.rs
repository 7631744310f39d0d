//! Spawns tasks that shutdown waits for.
//!
//! A task that nobody tracks is cut in the middle when the process ends. All spawns of the
//! gateway go through [`Tasks`], which counts them and carries the token that tells them to stop.
//!
//! - Start with [`Tasks::spawn`]; end with [`Tasks::shut_down`].
//! - **Invariant:** when `shut_down` returns `true`, no task spawned here is left.
//! - **Never here:** what a task does, or in which order parts of the gateway stop.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tracked tasks and the token that asks them to stop. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Makes an empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future as a task of this group. Dropping the handle leaves the task running.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Runs blocking code on a thread of its own, tracked like a task.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// The token that is cancelled when the group is asked to stop.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// How many tasks are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Asks every task to stop and waits for them until the deadline; `false` when some are left.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}

#[cfg(test)]
mod tests;
