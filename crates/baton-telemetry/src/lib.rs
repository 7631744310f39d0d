//! Names what Baton tells about itself: metrics, events and trace attributes, as types.
//!
//! A thing worth telling is a struct with `emit`; log line and metric are made together, so that
//! the two never use different words. Where they go is the binary's business.
//!
//! - Start with [`events`](AttemptEnded) and [`genai`].
//! - **Invariant:** no label takes a value that a caller can invent: providers and models come
//!   from the configuration, never from a request.
//! - **Never here:** exporters, sockets, content of requests.

mod event;
pub mod genai;
mod health;
mod meter;
mod metric;

pub use event::{
    AgentPattern, AttemptEnded, ConfigReload, JournalState, Pattern, RequestEnded, RequestShed,
    ShadowCompared,
};
pub use health::HealthMoved;
pub use metric::{Metric, describe};
