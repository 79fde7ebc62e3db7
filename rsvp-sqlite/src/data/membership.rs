//! Whether pairs exist.

use rsvp_core::{EventId, Operation, Rsvp};
use rusqlite::{Connection, OptionalExtension};

use super::read::Read;
use crate::wire::failure::Failure;

/// Tells for each pair whether it exists.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) pairs: Vec<Rsvp>,
}

impl Read for Membership {
    type Answer = Vec<bool>;

    fn operation(&self) -> Operation {
        Operation::HasRsvped
    }

    fn read(&self, connection: &Connection) -> Result<Vec<bool>, Failure> {
        let sql = "SELECT id FROM events WHERE name = ?1";
        let mut event_id = connection.prepare_cached(sql)?;
        let sql = "SELECT EXISTS (
                       SELECT 1 FROM rsvps
                       WHERE event = ?1 AND user = (SELECT id FROM users WHERE name = ?2)
                   )";
        let mut exists = connection.prepare_cached(sql)?;
        let mut last: Option<(&EventId, Option<i64>)> = None;
        let mut answers = Vec::with_capacity(self.pairs.len());
        for Rsvp { user, event } in &self.pairs {
            // Pairs of one event often come one after another.
            let id = match last {
                Some((of, id)) if of == event => id,
                _ => event_id.query_row([event.as_str()], |row| row.get(0)).optional()?,
            };
            last = Some((event, id));
            answers.push(match id {
                Some(id) => exists.query_row((id, user.as_str()), |row| row.get(0))?,
                None => false,
            });
        }
        Ok(answers)
    }
}
