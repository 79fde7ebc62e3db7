//! Dropping the slots of events that have no RSVPs any more.

use std::time::Duration;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::is_answer;

/// The longest wait for a lock. Slots that somebody is changing are not empty for long.
const PATIENCE: Duration = Duration::from_millis(50);

/// Drops the slots of those events whose slots add up to nothing. Whenever it runs, it changes no
/// count. A failure leaves the slots where they are, and does not concern the call.
pub(crate) async fn drop_empty(connection: &mut Connection, sql: &Statements, events: &[&str]) {
    if events.is_empty() {
        return;
    }
    let patience = connection.lock_timeout(PATIENCE);
    let query = sqlx::query(&sql.drop_slots).bind(events).bind(patience);
    let dropped = query.execute(&mut connection.pg).await;
    connection.stale |= !is_answer(&dropped);
}
