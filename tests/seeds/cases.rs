//! The seeds as acceptance cases: each line of what the seeds promise has its case here, named after it.
//!
//! The programs of the seeds' own libraries (S0-1, S0-2, S0-4, S0-5, S1-1, S3-12) are played in `tests/sdk`. What
//! they ask of `/mcp` stands with that.

mod s0;
mod s1;
mod s1_workflows;
mod s2;
mod s3;
mod s4;
mod stage;
