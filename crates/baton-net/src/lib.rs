//! Moves bytes: the one way out, the one way in, and the framing between.
//!
//! Everything that leaves the gateway goes through one connector, which looks up a name, filters
//! the addresses and connects to those and no others. Everything that comes in goes through one
//! accept loop with limits and deadlines. Nothing here knows what the bytes mean.
//!
//! - Start with [`client::HttpClient`] (out), [`serve::serve`] (in) and [`sse::SseDecoder`] (between).
//! - **Invariant:** no other crate opens a socket to a provider or spawns an untracked task.
//! - **Never here:** axum, names of providers, the conversation model, status codes of our surfaces.

pub mod body;
pub mod client;
pub mod egress;
pub mod serve;
pub mod sse;
pub mod tasks;
#[cfg(test)]
mod test_tls;
pub mod webhook;

/// An error of any type, as hyper and tower pass them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
