//! Tools of MCP servers, as a run may call them.
