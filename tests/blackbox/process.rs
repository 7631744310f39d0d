//! The process: how it starts, changes its configuration, stops and comes back.

mod outside;
mod reload;
mod start;
mod stop;
