//! Tools of MCP servers that the gateway runs: on all surfaces, streamed and not.

mod endpoint;
mod leaving;
mod rules;
mod run_tools;
pub(super) mod server;
mod unknown;

use serde_json::{Value, json};

use super::handoff::{Surface, talking};
use super::support::Fixture;
use server::Mcp;

/// A gateway that knows this server as `acme/search`, and a rest of its configuration.
async fn with_server(mcp: &Mcp, more: &str) -> Fixture {
    let config = format!(
        "mcp_servers:\n  acme/search: {{ url: \"{}\", headers: {{ authorization: \"Bearer server-token\" }} }}\n{more}",
        mcp.url()
    );
    talking(["oai/fake", "ant/fake"], Vec::new(), &config).await
}

/// All surfaces, streamed and not, over upstreams of two dialects.
fn everywhere() -> impl Iterator<Item = ((Surface, bool), &'static str)> {
    super::handoff::WAYS.into_iter().flat_map(|way| ["oai/fake", "ant/fake"].map(|model| (way, model)))
}

/// The call of the server's tool, as a model makes it.
fn query(word: &str) -> (String, Value) {
    ("acme-search__query".to_owned(), json!({ "q": word }))
}
