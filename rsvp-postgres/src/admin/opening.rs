//! The check of the database when a store is opened.

use rsvp_core::{Error, Operation, Result};

use super::durability::{Durability, Settings};
use super::schema::{Ledger, check_version};
use crate::config::SchemaName;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::server_session::ask;
use crate::wire::work::Work;

/// The encoding of the database, and settings of the server.
const DATABASE: &str = include_str!("../sql/database.sql");

/// Reads the settings of the server and the version of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening;

/// The database as it was when the store was opened.
#[derive(Debug)]
pub(crate) struct Database {
    encoding: String,
    settings: Settings,
    ledger: Ledger,
}

impl Work for Opening {
    type Answer = Database;

    fn operation(&self) -> Operation {
        Operation::Open
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> std::result::Result<Database, WorkError> {
        let row = ask(&mut connection.pg, DATABASE.to_owned()).await?;
        let (encoding, fsync, full_page_writes, synchronous_commit, synchronous_standby_names) =
            row;
        let settings =
            Settings { fsync, full_page_writes, synchronous_commit, synchronous_standby_names };
        let version = sqlx::query_as(&sql.version).persistent(false);
        let ledger = match version.fetch_one(&mut connection.pg).await {
            // Undefined table or schema, so nothing was migrated yet.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("42P01" | "3F000")) =>
            {
                Ledger::default()
            }
            row => {
                let (version, needs_at_least) = row?;
                Ledger { version, needs_at_least }
            }
        };
        Ok(Database { encoding, settings, ledger })
    }
}

impl Database {
    /// Returns the durability of an acknowledged write, if this release can use the database.
    /// Logs a warning about a weak durability.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `database` if its encoding lacks characters,
    /// or with the field `schema` as in [`check_version`].
    pub(crate) fn check(&self, schema: &SchemaName) -> Result<Durability> {
        if self.encoding != "UTF8" {
            let reason = format!(
                "has the encoding {}, which lacks characters that ids may have; create one with \
                 ENCODING 'UTF8' TEMPLATE template0",
                self.encoding
            );
            return Err(Error::invalid_input("database", reason));
        }
        check_version(schema, self.ledger)?;
        self.settings.warn();
        Ok(self.settings.durability())
    }
}
