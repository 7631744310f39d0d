//! Plays everything around the gateway in tests: upstreams, clients, stores and the process itself.
//!
//! Nothing here is part of the product. A test starts a [`fake::FakeUpstream`], spawns the
//! gateway with [`process::Setup`], drives it with a [`client::Load`], and lets [`checker::check`]
//! join what the three of them wrote down.
//!
//! - Start with [`fake`].
//! - **Invariant:** a fake shares no code with what it tests.

pub mod checker;
pub mod client;
pub mod clock;
pub mod conformance;
pub mod content_conformance;
pub mod fake;
pub mod history;
pub mod postgres;
pub mod process;
pub mod rows;
pub mod state_conformance;
