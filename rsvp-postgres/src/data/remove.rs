//! Removing the RSVPs of an event or of a user, in bounded steps.

use rsvp_core::{EventId, Operation, PageLimit, UserId};

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// Removes up to `limit` RSVPs of an event, and with the last ones the event's counts.
#[derive(Clone, Debug)]
pub(crate) struct RemoveEvent {
    pub(crate) event: EventId,
    pub(crate) limit: PageLimit,
}

impl Work for RemoveEvent {
    /// The number of RSVPs removed.
    type Answer = u64;

    fn operation(&self) -> Operation {
        Operation::RemoveEvent
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> sqlx::Result<u64> {
        let (event, limit) = (self.event.as_str(), self.limit.get());
        let query = sqlx::query_scalar(&sql.remove_event).bind(event).bind(limit as i64);
        let removed = number(query.fetch_one(&mut connection.pg).await?);
        connection.applied = true;
        if removed < limit as u64 {
            sqlx::query(&sql.drop_slots).bind(event).execute(&mut connection.pg).await?;
        }
        Ok(removed)
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

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> sqlx::Result<u64> {
        let (user, limit) = (self.user.as_str(), self.limit.get() as i64);
        let query = sqlx::query_scalar(&sql.remove_user).bind(user).bind(limit);
        query.fetch_one(&mut connection.pg).await.map(number)
    }
}

/// A number of rows, which the server counts as signed.
fn number(rows: i64) -> u64 {
    rows.unsigned_abs()
}
