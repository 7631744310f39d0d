//! Lays the log's types out in columns and reads them back, the same for every database.
//!
//! A store binds [`Value`]s in the order of [`RowsKind::columns`], and gives its rows as [`Columns`].
//! So a column has one name, one kind and one meaning, whatever the database is.
//!
//! - Start with [`Rows`] for what is written and [`Columns`] for what is read.
//! - **Invariant:** what was written as values is read back as the same type, or is told as corrupt.
//! - **Never here:** SQL.

mod read;
mod rows;
mod value;

pub use read::Columns;
pub(crate) use read::Known;
pub use rows::{AskedRow, Column, ColumnKind, Rows, RowsKind, TagRow};
pub use value::Value;
