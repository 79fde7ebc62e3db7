//! The ids of names, within one transaction of the writer.

use std::collections::{HashMap, HashSet};

use rsvp_core::{EventId, Rsvp, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::wire::failure::Failure;

/// The changes of one transaction. Several calls share it.
///
/// It remembers the ids of the names and the changes of counts, and writes each count once.
/// Names without RSVPs are deleted by [`flush`](Self::flush).
#[derive(Debug)]
pub(crate) struct Changes<'c> {
    connection: &'c Connection,
    /// `None` for an event without RSVPs.
    events: HashMap<EventId, Option<Event>>,
    users: HashMap<UserId, Option<i64>>,
    /// Users with a cancelled RSVP. They may have no other.
    left: HashSet<i64>,
    /// Whether anything was deleted.
    erased: bool,
}

/// An event within a transaction.
#[derive(Clone, Copy, Debug)]
struct Event {
    id: i64,
    /// The stored count.
    count: i64,
    /// The change of the count since.
    moved: i64,
    /// Whether an RSVP was cancelled. The event may have no other.
    left: bool,
}

impl<'c> Changes<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        let (events, users, left) = Default::default();
        Self { connection, events, users, left, erased: false }
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Whether anything was deleted.
    pub(crate) fn has_erased(&self) -> bool {
        self.erased
    }

    /// Adds an RSVP. Returns whether it is new.
    pub(crate) fn add(&mut self, Rsvp { user, event }: &Rsvp) -> Result<bool, Failure> {
        let (event_id, user_id) = (self.number_of_event(event)?, self.number_of_user(user)?);
        let sql = "INSERT INTO rsvps (event, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let added = self.connection.prepare_cached(sql)?.execute([event_id, user_id])? > 0;
        if added && let Some(Some(event)) = self.events.get_mut(event) {
            event.moved += 1;
        }
        Ok(added)
    }

    /// Deletes an RSVP. Returns whether it existed.
    pub(crate) fn delete(&mut self, Rsvp { user, event }: &Rsvp) -> Result<bool, Failure> {
        let Some(event_id) = self.find_event(event)?.map(|event| event.id) else {
            return Ok(false);
        };
        let Some(user_id) = self.find_user(user)? else { return Ok(false) };
        let sql = "DELETE FROM rsvps WHERE event = ?1 AND user = ?2";
        let deleted = self.connection.prepare_cached(sql)?.execute([event_id, user_id])? > 0;
        if deleted && let Some(Some(event)) = self.events.get_mut(event) {
            event.moved -= 1;
            event.left = true;
            self.left.insert(user_id);
        }
        self.erased |= deleted;
        Ok(deleted)
    }

    /// Writes the changed counts, and deletes the names without RSVPs.
    /// Afterwards nothing is remembered, so that other changes may follow.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let sql = "UPDATE events SET count = count + ?2 WHERE id = ?1";
        let mut update = self.connection.prepare_cached(sql)?;
        for event in self.events.values().flatten() {
            if event.moved != 0 {
                update.execute([event.id, event.moved])?;
            }
            if event.left && event.count + event.moved <= 0 {
                delete_empty_event(self.connection, event.id)?;
            }
        }
        for user in &self.left {
            delete_empty_user(self.connection, *user)?;
        }
        self.forget();
        Ok(())
    }

    /// Forgets all names and changes of counts, after a rollback.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
        self.users.clear();
        self.left.clear();
    }

    /// Deletes the name of an event unless it has RSVPs.
    pub(crate) fn drop_if_empty(&self, event: i64) -> rusqlite::Result<()> {
        delete_empty_event(self.connection, event)
    }

    /// Records a deletion by other statements.
    pub(crate) fn set_erased(&mut self) {
        self.erased = true;
    }

    fn find_event(&mut self, event: &EventId) -> Result<Option<Event>, Failure> {
        if let Some(found) = self.events.get(event) {
            return Ok(*found);
        }
        let sql = "SELECT id, count FROM events WHERE name = ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let found = query.query_row([event.as_str()], |row| {
            Ok(Event { id: row.get(0)?, count: row.get(1)?, moved: 0, left: false })
        });
        let found = found.optional()?;
        if found.is_some_and(|event| event.count < 0) {
            // A write would continue from a wrong count.
            return Err(Failure::Corrupt("a count below zero".to_owned()));
        }
        self.events.insert(event.clone(), found);
        Ok(found)
    }

    fn find_user(&mut self, user: &UserId) -> Result<Option<i64>, Failure> {
        if let Some(found) = self.users.get(user) {
            return Ok(*found);
        }
        let mut query = self.connection.prepare_cached("SELECT id FROM users WHERE name = ?1")?;
        let found = query.query_row([user.as_str()], |row| row.get(0)).optional()?;
        self.users.insert(user.clone(), found);
        Ok(found)
    }

    fn number_of_event(&mut self, event: &EventId) -> Result<i64, Failure> {
        if let Some(found) = self.find_event(event)? {
            return Ok(found.id);
        }
        let sql = "INSERT INTO events (name, count) VALUES (?1, 0)";
        let id = self.connection.prepare_cached(sql)?.insert(params![event.as_str()])?;
        let new = Event { id, count: 0, moved: 0, left: false };
        self.events.insert(event.clone(), Some(new));
        Ok(id)
    }

    fn number_of_user(&mut self, user: &UserId) -> Result<i64, Failure> {
        if let Some(found) = self.find_user(user)? {
            return Ok(found);
        }
        let sql = "INSERT INTO users (name) VALUES (?1)";
        let id = self.connection.prepare_cached(sql)?.insert(params![user.as_str()])?;
        self.users.insert(user.clone(), Some(id));
        Ok(id)
    }
}

/// Deletes the name of an event unless it has RSVPs.
pub(super) fn delete_empty_event(connection: &Connection, event: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM events
               WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM rsvps WHERE event = ?1)";
    connection.prepare_cached(sql)?.execute([event])?;
    Ok(())
}

/// Deletes the name of a user unless it has RSVPs.
pub(super) fn delete_empty_user(connection: &Connection, user: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM users
               WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM rsvps WHERE user = ?1)";
    connection.prepare_cached(sql)?.execute([user])?;
    Ok(())
}
