//! The counts of events.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{Count, Error, EventId, Operation, Result};

use super::batch::{Batch, split};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Reads the counts of some events.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    events: Arc<[EventId]>,
    /// The part of the events in this statement.
    range: Range<usize>,
}

impl Counts {
    pub(crate) fn new(events: &[EventId]) -> Self {
        Self { events: events.into(), range: 0..events.len() }
    }
}

impl Work for Counts {
    /// The stored count of each event in turn.
    type Answer = Vec<i64>;

    fn operation(&self) -> Operation {
        Operation::RsvpCount
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Vec<i64>, WorkError> {
        let events = self.events.get(self.range.clone()).unwrap_or_default();
        let events: Vec<&str> = events.iter().map(EventId::as_str).collect();
        let query = sqlx::query_as(&sql.counts).bind(events);
        let query = query.persistent(connection.keeps_statements());
        let (counts, read_only) = query.fetch_one(&mut connection.pg).await?;
        connection.read_only = read_only;
        Ok(counts)
    }
}

impl Batch for Counts {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, at: usize) -> (Self, Self) {
        let (first, second) = split(&self.range, at);
        (Self { range: first, ..self.clone() }, Self { range: second, ..self.clone() })
    }
}

/// Makes the count of an event from a stored number read at most `age` ago.
///
/// # Errors
///
/// [`Error::Corrupt`] if it is negative, because another program changed the tables.
pub(crate) fn aged(count: i64, age: Duration) -> Result<Count> {
    u64::try_from(count).map(|value| Count::aged(value, age)).map_err(|_| {
        let found = format!("a count of {count}; Maintenance::repair corrects it");
        Error::corrupt(Operation::RsvpCount, found)
    })
}
