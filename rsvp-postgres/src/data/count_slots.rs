//! The removal of the count slots of events without RSVPs.

use std::time::Duration;

use sqlx::raw_sql;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::is_answer;

/// The longest wait for a lock. The holder of a lock is likely to fill the slots again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Drops the slots of some events if they add up to zero. It never changes a count.
/// If the server refuses it, the slots stay.
///
/// # Errors
///
/// An error if the transaction of a session lent by a pooler cannot go on.
/// In the connection's own session the write is committed already, so a failure is no error.
pub(crate) async fn drop_empty(
    connection: &mut Connection,
    sql: &Statements,
    events: &[&str],
) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    // A refused statement ends its transaction, so a lent session needs a savepoint.
    let lent = connection.session.is_lent();
    if lent {
        raw_sql("SAVEPOINT slots").execute(&mut connection.pg).await?;
    }
    let patience = connection.lock_timeout(PATIENCE);
    let query = sqlx::query(&sql.drop_slots).bind(events).bind(patience);
    let query = query.persistent(connection.keeps_statements());
    let dropped = query.execute(&mut connection.pg).await;
    if lent && dropped.is_err() {
        raw_sql("ROLLBACK TO SAVEPOINT slots").execute(&mut connection.pg).await?;
    }
    connection.stale |= !is_answer(&dropped);
    Ok(())
}
