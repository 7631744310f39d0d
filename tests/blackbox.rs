//! Drives the real program from outside: a real process, real sockets, fake upstreams.
//!
//! Nothing here reaches into the gateway. What a test knows, a client, an operator or an upstream
//! could know too. The modules mirror the URL tree; `cli` and `process` mirror the program,
//! `policy`, `versions` and `seeds` what it decides.
//!
//! - Start with [`blackbox::support`]: the process, the clients and the fixtures.
//! - **Invariant:** a server that panicked fails the test that stops it.

// The attribute tells clippy that helpers belong to tests as well.
#[cfg(test)]
mod blackbox {
    mod admin;
    mod agents;
    mod audit;
    mod bad_input;
    mod cli;
    mod handoff;
    mod keys;
    mod mcp;
    mod policy;
    mod process;
    mod remote;
    mod root;
    mod runs;
    mod secrets;
    #[path = "../seeds/cases.rs"]
    mod seeds;
    mod support;
    mod v1;
    mod versions;
}
