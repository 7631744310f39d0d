//! The server that the tests of standard input and output start: `honest_stdio legacy|modern`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "it is a part of the tests")]

#[path = "../tests/mcp/honest.rs"]
mod honest;

use honest::{Era, Honest};
use rmcp::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let era = if std::env::args().nth(1).as_deref() == Some("modern") { Era::Modern } else { Era::Legacy };
    Honest::new(era).serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
