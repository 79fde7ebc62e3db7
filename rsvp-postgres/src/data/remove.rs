//! Removing the RSVPs of an event or of a user, in bounded steps.

use rsvp_core::{EventId, Operation, PageLimit, UserId};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::QueryAs;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::{WorkError, in_time};
use crate::wire::footprint::Footprint;
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

    fn footprint(&self) -> Footprint {
        Footprint::of_event(&self.event)
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<u64, WorkError> {
        let (event, limit) = (self.event.as_str(), self.limit.get());
        let query = sqlx::query_as(&sql.remove_event).bind(event).bind(limit as i64);
        let removed = remove(connection, query).await?;
        connection.applied = true;
        // Whenever it runs, it changes no count.
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

    fn footprint(&self) -> Footprint {
        Footprint::of_user(&self.user)
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<u64, WorkError> {
        let (user, limit) = (self.user.as_str(), self.limit.get() as i64);
        remove(connection, sqlx::query_as(&sql.remove_user).bind(user).bind(limit)).await
    }
}

/// Runs a statement that removes rows, and returns their number.
async fn remove<'q>(
    connection: &mut Connection,
    query: QueryAs<'q, Postgres, (bool, i64), PgArguments>,
) -> Result<u64, WorkError> {
    let latest_begin = connection.latest_begin();
    let (began, removed) = connection.change(query.bind(latest_begin)).await?;
    in_time(began)?;
    // The server counts as signed.
    Ok(removed.unsigned_abs())
}
