//! Gives a test a database of its own on the server that `TEST_DATABASE_URL` names.
//!
//! `cargo xtask test` starts a server and sets the variable.
//!
//! - Start with [`Database::create`]; [`Server`] is for tests that stop the server itself.
//! - **Invariant:** under `CI=true` a missing server is an error and not a skip.

mod server;

use std::env;

use anyhow::{Context, bail};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

pub use server::Server;

/// A database that only this test uses.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes one; none when no server is named.
    ///
    /// # Errors
    /// When the server refuses, or none is named under `CI=true`.
    pub async fn create() -> anyhow::Result<Option<Self>> {
        let Ok(server) = env::var("TEST_DATABASE_URL") else {
            if env::var("CI").is_ok_and(|value| value == "true" || value == "1") {
                bail!("TEST_DATABASE_URL is not set, and nothing may be skipped here");
            }
            return Ok(None);
        };
        let name = format!("baton_test_{:016x}", rand::random::<u64>());
        let database = Self { server, name };
        database.run(&format!("create database {}", database.name)).await?;
        Ok(Some(database))
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(&self.server, &self.name)
    }

    /// Removes it, with whoever is still connected.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.run(&format!("drop database {} with (force)", self.name)).await
    }

    async fn run(&self, statement: &str) -> anyhow::Result<()> {
        let mut server =
            PgConnection::connect(&self.server).await.context("connecting to TEST_DATABASE_URL")?;
        // The name is made above from digits only.
        server.execute(AssertSqlSafe(statement)).await.with_context(|| format!("running `{statement}`"))?;
        Ok(())
    }
}

/// The server's URL with another database in it.
fn url_of(server: &str, name: &str) -> String {
    let (place, options) =
        server.split_once('?').map_or((server, None), |(place, options)| (place, Some(options)));
    let authority = place.find("://").map_or(0, |at| at + 3);
    let path =
        place.get(authority..).and_then(|rest| rest.find('/')).map_or(place.len(), |at| authority + at);
    let host = place.get(..path).unwrap_or(place);
    options.map_or_else(|| format!("{host}/{name}"), |options| format!("{host}/{name}?{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_put_in_place_of_the_servers() {
        assert_eq!(url_of("postgres://u@h:5/postgres", "x"), "postgres://u@h:5/x");
        assert_eq!(url_of("postgres://u@h:5", "x"), "postgres://u@h:5/x");
        assert_eq!(url_of("postgres://h/a?sslmode=disable", "x"), "postgres://h/x?sslmode=disable");
    }
}
