//! Removes the RSVPs of an event or of a user, in bounded steps.

use rsvp_core::{EventId, Operation, PageLimit, RemovalStep, SessionToken, UserId};
use rusqlite::{CachedStatement, OptionalExtension};

use super::change::{Care, Change};
use super::names::{Changes, delete_empty_event, delete_empty_user};
use crate::wire::failure::Failure;

/// Removes up to `limit` RSVPs of an event.
#[derive(Debug)]
pub(crate) struct RemoveEvent {
    pub(crate) event: EventId,
    pub(crate) limit: PageLimit,
}

/// Removes up to `limit` RSVPs of a user.
#[derive(Debug)]
pub(crate) struct RemoveUser {
    pub(crate) user: UserId,
    pub(crate) limit: PageLimit,
}

impl Change for RemoveEvent {
    type Answer = RemovalStep;

    fn operation(&self) -> Operation {
        Operation::RemoveEvent
    }

    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> Result<RemovalStep, Failure> {
        changes.flush()?;
        let connection = changes.connection();
        // 1. Find the event. If it has no row, the removal is complete.
        let mut query = connection.prepare_cached("SELECT id FROM events WHERE name = ?1")?;
        let event = query.query_row([self.event.as_str()], |row| row.get(0)).optional()?;
        let Some(event) = event else { return Ok(step(0, false)) };
        let event: i64 = event;
        // 2. Delete its first RSVPs, and the names of users without any other RSVP.
        let sql = "SELECT user FROM rsvps WHERE event = ?1 LIMIT ?2";
        let users = numbers(connection.prepare_cached(sql)?, event, self.limit)?;
        let sql = "DELETE FROM rsvps WHERE event = ?1 AND user = ?2";
        let mut delete = connection.prepare_cached(sql)?;
        for user in &users {
            delete.execute([event, *user])?;
            delete_empty_user(connection, *user)?;
        }
        // 3. Update the count. The last step deletes the name, too.
        let sql = "UPDATE events SET count = count - ?2 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([event, users.len() as i64])?;
        delete_empty_event(connection, event)?;
        changes.set_erased();
        let sql = "SELECT EXISTS (SELECT 1 FROM rsvps WHERE event = ?1)";
        let more = connection.prepare_cached(sql)?.query_row([event], |row| row.get(0))?;
        Ok(step(users.len(), more))
    }
}

impl Change for RemoveUser {
    type Answer = RemovalStep;

    fn operation(&self) -> Operation {
        Operation::RemoveUser
    }

    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> Result<RemovalStep, Failure> {
        changes.flush()?;
        let connection = changes.connection();
        // 1. Find the user. If it has no row, the removal is complete.
        let mut query = connection.prepare_cached("SELECT id FROM users WHERE name = ?1")?;
        let user = query.query_row([self.user.as_str()], |row| row.get(0)).optional()?;
        let Some(user) = user else { return Ok(step(0, false)) };
        let user: i64 = user;
        // 2. Delete the first RSVPs of the user, update their counts,
        //    and delete the names of events without any other RSVP.
        let sql = "SELECT event FROM rsvps WHERE user = ?1 LIMIT ?2";
        let events = numbers(connection.prepare_cached(sql)?, user, self.limit)?;
        let sql = "DELETE FROM rsvps WHERE event = ?1 AND user = ?2";
        let mut delete = connection.prepare_cached(sql)?;
        let sql = "UPDATE events SET count = count - 1 WHERE id = ?1 RETURNING count";
        let mut count = connection.prepare_cached(sql)?;
        for event in &events {
            delete.execute([*event, user])?;
            let left: Option<i64> = count.query_row([event], |row| row.get(0)).optional()?;
            if left.is_some_and(|left| left <= 0) {
                delete_empty_event(connection, *event)?;
            }
        }
        // 3. The last step deletes the name.
        delete_empty_user(connection, user)?;
        changes.set_erased();
        let sql = "SELECT EXISTS (SELECT 1 FROM rsvps WHERE user = ?1)";
        let more = connection.prepare_cached(sql)?.query_row([user], |row| row.get(0))?;
        Ok(step(events.len(), more))
    }
}

fn step(removed: usize, more: bool) -> RemovalStep {
    RemovalStep::new(removed as u64, more, SessionToken::new())
}

/// Queries ids by an id, up to a limit.
fn numbers(
    mut query: CachedStatement<'_>,
    of: i64,
    limit: PageLimit,
) -> rusqlite::Result<Vec<i64>> {
    query.query_map([of, limit.get() as i64], |row| row.get(0))?.collect()
}
