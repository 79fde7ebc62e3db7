//! The counts of events.

use rsvp_core::{Count, Error, EventId, Operation};
use rusqlite::{Connection, OptionalExtension};

use super::read::{Read, own_answer};
use crate::wire::failure::Failure;

/// Reads the count of each event.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) events: Vec<EventId>,
}

impl Read for Counts {
    type Answer = Vec<rsvp_core::Result<Count>>;

    fn operation(&self) -> Operation {
        Operation::RsvpCount
    }

    fn read(&self, connection: &Connection) -> Result<Self::Answer, Failure> {
        let mut query = connection.prepare_cached("SELECT count FROM events WHERE name = ?1")?;
        let mut counts = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let count = query.query_row([event.as_str()], |row| row.get(0)).optional();
            let count = own_answer(self.operation(), count)?;
            counts.push(count.and_then(|count: Option<i64>| {
                let corrupt = |_| Error::corrupt(self.operation(), "a count below zero");
                u64::try_from(count.unwrap_or(0)).map(Count::fresh).map_err(corrupt)
            }));
        }
        Ok(counts)
    }
}
