//! The removal of the RSVPs of an event or of a user, in bounded steps.

use std::time::Duration;

use rsvp_core::{EventId, Operation, PageLimit, UserId};

use super::count_slots::drop_empty;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;
use crate::wire::write_set::WriteSet;

/// Removes up to `limit` RSVPs of an event. The last step removes the event's counts, too.
#[derive(Clone, Debug)]
pub(crate) struct RemoveEvent {
    pub(crate) event: EventId,
    pub(crate) limit: PageLimit,
    /// The step begins after this user, as in [`RemovalKeys`](super::removal_keys::RemovalKeys).
    pub(crate) after: String,
}

/// The outcome of a step of the removal of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventStep {
    /// The number of RSVPs removed.
    pub(crate) removed: u64,
    /// The next step begins after this user. `None` after the last step.
    pub(crate) next: Option<String>,
}

impl EventStep {
    /// Makes the outcome of a step of at most `limit` RSVPs after the user `after`.
    /// The last removed user is `last`, and the event had `counted` RSVPs before the step.
    fn new(limit: u64, after: &str, removed: u64, last: Option<String>, counted: i64) -> Self {
        let left = u64::try_from(counted).unwrap_or(0) > removed;
        let next = match last {
            Some(last) if removed >= limit => Some(last),
            // RSVPs are left behind the key. They came meanwhile, or the key is an old one.
            _ if left && !after.is_empty() => Some(String::new()),
            _ => None,
        };
        Self { removed, next }
    }
}

impl Work for RemoveEvent {
    type Answer = EventStep;

    fn operation(&self) -> Operation {
        Operation::RemoveEvent
    }

    fn write_set(&self) -> WriteSet {
        WriteSet::of_event(&self.event)
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<EventStep, WorkError> {
        let (event, limit) = (self.event.as_str(), self.limit.get() as i64);
        let query = sqlx::query_as(&sql.remove_event)
            .bind(event)
            .bind(limit)
            .bind(connection.latest_begin())
            .bind(connection.lock_timeout(Duration::MAX))
            .bind(&self.after);
        let (in_time, synchronous, removed, last, counted): (_, _, i64, _, _) =
            connection.change(query).await?;
        connection.take_turn(in_time, synchronous)?;
        connection.applied = true;
        let (limit, removed) = (limit.unsigned_abs(), removed.unsigned_abs());
        let step = EventStep::new(limit, &self.after, removed, last, counted);
        if step.next.is_none() {
            drop_empty(connection, sql, &[event]).await?;
        }
        Ok(step)
    }
}

/// Removes up to `limit` RSVPs of a user.
#[derive(Clone, Debug)]
pub(crate) struct RemoveUser {
    pub(crate) user: UserId,
    pub(crate) limit: PageLimit,
}

impl Work for RemoveUser {
    /// The number of RSVPs removed.
    type Answer = u64;

    fn operation(&self) -> Operation {
        Operation::RemoveUser
    }

    fn write_set(&self) -> WriteSet {
        WriteSet::of_user(&self.user)
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<u64, WorkError> {
        let query = sqlx::query_as(&sql.remove_user)
            .bind(self.user.as_str())
            .bind(self.limit.get() as i64)
            .bind(connection.latest_begin())
            .bind(connection.lock_timeout(Duration::MAX));
        let (in_time, synchronous, removed, emptied): (_, _, i64, Vec<String>) =
            connection.change(query).await?;
        connection.take_turn(in_time, synchronous)?;
        connection.applied = true;
        let emptied: Vec<&str> = emptied.iter().map(String::as_str).collect();
        drop_empty(connection, sql, &emptied).await?;
        Ok(removed.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_goes_on_after_the_last_user_until_nothing_is_counted() {
        let step = |after, removed, last: Option<&str>, counted| {
            EventStep::new(10, after, removed, last.map(str::to_owned), counted).next
        };
        assert_eq!(step("", 10, Some("k"), 25).as_deref(), Some("k"));
        assert_eq!(step("k", 10, Some("u"), 10).as_deref(), Some("u"), "one more, of nothing");
        assert_eq!(step("u", 0, None, 0), None);
        assert_eq!(step("u", 3, Some("z"), 3), None);
    }

    #[test]
    fn a_removal_begins_again_for_those_that_came_behind_its_key() {
        let step = |after| EventStep::new(10, after, 3, Some("z".to_owned()), 5).next;
        assert_eq!(step("u").as_deref(), Some(""));
        assert_eq!(step(""), None, "a count that is wrong does not keep it going");
    }
}
