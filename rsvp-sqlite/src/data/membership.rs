//! Lookups of single pairs.

use rsvp_core::{EventId, Operation, Rsvp};
use rusqlite::{Connection, OptionalExtension};

use super::read::{Read, own_answer};
use crate::wire::failure::Failure;

/// Reads for each pair whether it exists.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) pairs: Vec<Rsvp>,
}

impl Read for Membership {
    /// Each pair has its own answer, because a damaged page fails only the pairs that need it.
    type Answer = Vec<rsvp_core::Result<bool>>;

    fn operation(&self) -> Operation {
        Operation::HasRsvped
    }

    fn read(&self, connection: &Connection) -> Result<Self::Answer, Failure> {
        let sql = "SELECT id FROM events WHERE name = ?1";
        let mut event_id = connection.prepare_cached(sql)?;
        let sql = "SELECT EXISTS (
                       SELECT 1 FROM rsvps
                       WHERE event = ?1 AND user = (SELECT id FROM users WHERE name = ?2)
                   )";
        let mut exists = connection.prepare_cached(sql)?;
        // Pairs of one event often follow each other, so the id of the last event is kept.
        let mut last: Option<(&EventId, Option<i64>)> = None;
        let mut answers = Vec::with_capacity(self.pairs.len());
        for Rsvp { user, event } in &self.pairs {
            let id = match last {
                Some((of, id)) if of == event => Ok(id),
                _ => event_id.query_row([event.as_str()], |row| row.get(0)).optional(),
            };
            last = id.as_ref().ok().map(|id| (event, *id));
            let answer = id.and_then(|id| match id {
                Some(id) => exists.query_row((id, user.as_str()), |row| row.get(0)),
                None => Ok(false),
            });
            answers.push(own_answer(self.operation(), answer)?);
        }
        Ok(answers)
    }
}
