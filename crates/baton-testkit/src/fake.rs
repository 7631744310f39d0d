//! Plays the upstreams: OpenAI's two formats and Anthropic's on one port, with faults by script.
//!
//! A fake shares no code with the gateway, so a mistake cannot hide by being made on both
//! sides. It is as strict as the vendors, answers well enough for their own SDKs, and keeps
//! what it saw as the ground truth of a test.
//!
//! - Start with [`FakeUpstream::start`]; [`Script`] says how it behaves, [`Seen`] what came in.
//! - **Invariant:** a request that breaks the vendor's rules is answered with 400 and the
//!   vendor's error body, whatever the script says.
//! - **Never here:** crates of the gateway.

mod anthropic;
mod control;
mod frame;
mod instance;
mod instant;
mod model;
mod openai;
mod responses;
mod script;
mod seen;
mod serve;
mod shape;
pub mod unreachable;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use instant::serve_instant;
pub use model::Usage;
pub use script::{End, Fault, Pace, Raw, Said, Script, Step};
pub use seen::{Credential, Ending, Seen};
use serve::Shared;

/// A fake upstream that is listening; it stops when dropped.
#[derive(Debug)]
pub struct FakeUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinSet<()>,
}

impl FakeUpstream {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// Listens on this address.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_at(address: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script));
        let mut serving = JoinSet::new();
        serving.spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, serving })
    }

    /// `http://127.0.0.1:PORT/v1`, as OpenAI's SDKs want it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// `http://127.0.0.1:PORT`, as Anthropic's SDKs want it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a step to the end of the queue.
    pub fn then(&self, step: Step) {
        self.shared.push(step);
    }

    /// Every request so far, in the order in which they came in.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    /// Waits until what was seen satisfies `condition`; false when that takes longer than `within`.
    pub async fn until(&self, within: Duration, condition: impl Fn(&[Seen]) -> bool + Send) -> bool {
        tokio::time::timeout(within, self.shared.until(condition)).await.is_ok()
    }

    /// Stops listening and closes every connection.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
