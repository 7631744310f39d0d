//! Lets Baton's MCP client talk to servers made with the official SDKs, over both transports.

use crate::place::{Place, run};
use crate::steps::Steps;
use crate::tools;

/// Builds the example and runs it.
pub(crate) fn check(place: &Place) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    all(place, &mut steps);
    steps.close()
}

/// Every check against every server; the example prints how many passed.
pub(crate) fn all(place: &Place, steps: &mut Steps) {
    steps.step("MCP servers of the official SDKs", || {
        let servers = tools::mcp_servers(place)?;
        let arguments =
            ["run", "--quiet", "--locked", "-p", "baton-tools", "--example", "official_servers", "--"];
        run(place.cargo(&arguments).args(servers))
    });
}
