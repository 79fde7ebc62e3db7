//! The numbers of RSVPs of events.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{Count, Error, EventId, Operation, Result};

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// Reads the counts of some events.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    events: Arc<[EventId]>,
}

impl Counts {
    pub(crate) fn new(events: &[EventId]) -> Self {
        Self { events: events.into() }
    }
}

impl Work for Counts {
    /// For each event in turn, as the server has it.
    type Answer = Vec<i64>;

    fn operation(&self) -> Operation {
        Operation::RsvpCounts
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> sqlx::Result<Vec<i64>> {
        let events: Vec<&str> = self.events.iter().map(EventId::as_str).collect();
        sqlx::query_scalar(&sql.counts).bind(events).fetch_one(&mut connection.pg).await
    }
}

/// The counts as they were at most `age` ago.
///
/// # Errors
///
/// [`Error::Corrupt`] if one is negative: something other than this library changed the tables.
pub(crate) fn aged(counts: Vec<i64>, age: Duration) -> Result<Vec<Count>> {
    let count = |count| match u64::try_from(count) {
        Ok(value) => Ok(Count::aged(value, age)),
        Err(_) => {
            let found = format!("a count of {count}; PostgresStore::repair corrects it");
            Err(Error::corrupt(Operation::RsvpCounts, found))
        }
    };
    counts.into_iter().map(count).collect()
}
