//! Everything under `/v1`.

pub(super) mod answers;
mod chat_completions;
mod count_tokens;
mod decisions;
pub(super) mod idempotency;
mod invoices;
mod limits;
mod messages;
mod models;
mod passed;
mod responses;
mod structured;

pub(super) use answers::text;
pub(super) use chat_completions::story;
