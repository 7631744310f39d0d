//! Keeps the written face true: every command and every configuration of the README and the guides
//! is run, and every table that repeats the code is compared with it.
//!
//! Fenced blocks are read by their first word:
//!
//! - `sh` runs in one shell per document, against a server of its own. `127.0.0.1:8080` becomes the
//!   server's address.
//! - `yaml` goes through `baton check`; `yaml wrong` has to be refused.
//! - `python` runs with the SDKs' interpreter, where there is one.
//! - `text` after one of those holds lines that its output has to have; `…` stands for anything.
//! - `no-run` in a fence says that a block cannot be run here. The tests print how many there are.

#[cfg(test)]
mod docs {
    mod blocks;
    mod document;
    mod run;
    mod server;
    mod tables;
}
