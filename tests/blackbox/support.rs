//! What every black-box test stands on: the runtime, the process, clients, waiting.

mod answer;
mod baton;
mod fixture;
mod hook;
mod raw;
mod sse;

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub(super) use answer::{Answer, sent};
pub(super) use baton::{Baton, Home, Output, baton, finished};
pub(super) use fixture::{Fixture, unique};
pub(super) use hook::Hook;
pub(super) use raw::{Raw, exchange, status_of};
pub(super) use sse::{Event, chat_text, chunks, events, messages_text, responses_text};

/// One runtime for all tests: servers and fakes are shared, so they must outlive a single test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Nothing that a test waits for takes longer, on however slow a machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on the shared runtime.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// Runs a part of a test beside the rest.
pub(super) fn spawn<T: Send + 'static>(part: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    RUNTIME.spawn(part)
}

/// Asks again until there is an answer.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
