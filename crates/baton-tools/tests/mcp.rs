//! The registry against real MCP servers and against hostile ones.
//!
//! - `transports`: the official SDK for Rust as the server, over both transports and in both eras.
//! - `registry`: what is found, kept, made anew and closed.
//! - `attacks`: a server written by hand that does what no SDK would.

// The attribute tells clippy that helpers belong to tests as well.
#[cfg(test)]
mod mcp {
    mod attacks;
    mod honest;
    mod hostile;
    mod registry;
    mod support;
    mod transports;
}
