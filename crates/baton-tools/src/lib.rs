//! Lets a run use tools of MCP servers.
//!
//! The registry knows the configured servers and keeps their connections. A request names servers; the
//! registry opens them and gives a [`ToolSet`]: the tools that may be offered to a model, an error for each
//! server that gives none, and the way to call.
//!
//! A server is not trusted. Its descriptions are pinned and shown with their hidden characters, its
//! results are cut, its questions refused, its silence bounded, and its redirects not followed.
//!
//! - Start with [`Registry::open`], then [`ToolSet::call`].
//! - **Invariant:** only the configuration starts programs and gives credentials; of a client's request
//!   nothing reaches a server but a call's arguments.
//! - **Never here:** the conversation, models, statuses of our own surfaces.

mod definition;
mod fault;
mod filesystem;
mod link;
mod names;
mod outcome;
mod pins;
mod reference;
mod registry;
mod settings;
mod shown;
mod tool_set;

pub use fault::ErrorCode;
pub use filesystem::{FileAccess, Filesystem};
pub use outcome::Called;
pub use pins::{PinError, PinnedServer, PinnedTool};
pub use reference::{RefError, ServerRef};
pub use registry::{Registry, RegistryError};
pub use settings::{Server, ServerLimits, ServerUrl, ToolSettings, Transport, UrlError, UrlPattern};
pub use tool_set::{OfferedTool, ServerError, ToolSet};
