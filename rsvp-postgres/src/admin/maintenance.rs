//! A connection for work that may take minutes, beside the pool.

use std::time::Duration;

use rsvp_core::{Effect, Error, Operation, Result};
use tokio::time::timeout;

use crate::config::PostgresConfig;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::connector::Connector;
use crate::wire::failure::{connect_error, failure};
use crate::wire::work::Work;

/// A connection to the primary without a statement timeout.
#[derive(Debug)]
pub(super) struct Maintenance {
    connection: Connection,
    sql: Statements,
    /// The longest time that one work may take.
    work_timeout: Duration,
}

impl Maintenance {
    /// Connects, on behalf of `operation`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field of the setting that is wrong, and
    /// [`Error::Unavailable`] if no host accepts writes.
    pub(super) async fn connect(
        config: &PostgresConfig,
        operation: Operation,
        work_timeout: Duration,
    ) -> Result<Self> {
        config.check()?;
        let sql = Statements::new(&config.schema_name()?);
        let connection = Connector::maintenance(config).connect().await;
        let connection = connection.map_err(|error| connect_error(operation, error))?;
        Ok(Self { connection, sql, work_timeout })
    }

    /// Runs `work`. After a failure the connection is not to be used again.
    ///
    /// # Errors
    ///
    /// The error that the server reports, and [`Error::TimedOut`] after the work's timeout.
    pub(super) async fn run<W: Work>(&mut self, work: W) -> Result<W::Answer> {
        let (operation, longest) = (work.operation(), self.work_timeout);
        match timeout(longest, work.run(&mut self.connection, &self.sql)).await {
            Ok(done) => done.map_err(|error| failure(operation, error, longest).error),
            Err(_) => Err(Error::timed_out(operation, longest, Effect::Unknown)),
        }
    }
}
