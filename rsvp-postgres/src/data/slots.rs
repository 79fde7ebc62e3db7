//! Dropping the slots of events that have no RSVPs any more.

use std::time::Duration;

use sqlx::raw_sql;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::is_answer;

/// The longest wait for a lock. Slots that somebody is changing are not empty for long.
const PATIENCE: Duration = Duration::from_millis(50);

/// Drops the slots of those events whose slots add up to nothing. Whenever it runs, it changes no
/// count. If the server refuses it, the slots stay where they are.
///
/// # Errors
///
/// If the present transaction, which a pooler has lent, cannot go on. Without one, a lost connection
/// does not concern the call.
pub(crate) async fn drop_empty(
    connection: &mut Connection,
    sql: &Statements,
    events: &[&str],
) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
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
