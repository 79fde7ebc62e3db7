//! Comparing every count with the rows it counts, and mending what differs.

use std::time::Duration;

use rsvp_core::{Effect, Error, EventId, Operation, Result};
use sqlx::Connection;
use tokio::time::timeout;

use crate::PostgresStore;
use crate::admin::schema::maintenance;
use crate::data::listing::stored;
use crate::sql::Statements;
use crate::wire::connection::Session;
use crate::wire::failure::failure;

/// Events that one statement of an audit looks at.
const STEP: i64 = 100;

/// How long one statement may take: the events of a step may have millions of attendees.
const PATIENCE: Duration = Duration::from_secs(600);

/// An event whose count is not the number of its RSVPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The event.
    pub event: EventId,
    /// How many RSVPs it has.
    pub held: u64,
    /// What its count says.
    pub counted: i64,
}

/// What an audit or a repair has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many events were compared.
    pub events: u64,
    /// The events that differed.
    pub drifts: Vec<Drift>,
}

impl PostgresStore {
    /// Compares every event's count with its rows.
    ///
    /// Reads everything once, in steps of 100 events on a connection of its own, while the store
    /// is in use: each step sees one snapshot, in which rows and counts agree. The statements are
    /// written so that there should never be a difference; something other than this library
    /// may have changed the tables.
    ///
    /// # Errors
    ///
    /// What the server reports, and [`Error::TimedOut`] if a step takes longer than ten minutes.
    pub async fn audit(&self) -> Result<AuditReport> {
        self.walk(Operation::Audit).await
    }

    /// Audits, and mends every difference; reports what differed.
    ///
    /// Works under load: the missing number is added to the count, so that concurrent writes are
    /// kept. Repairs of several instances wait for each other.
    ///
    /// # Errors
    ///
    /// As [`audit`](Self::audit).
    pub async fn repair(&self) -> Result<AuditReport> {
        // What was mended stays mended when a later step fails.
        self.walk(Operation::Repair).await.map_err(|error| error.with_effect(Effect::Unknown))
    }

    async fn walk(&self, operation: Operation) -> Result<AuditReport> {
        let mut session = maintenance(self.config(), operation).await?;
        let mut report = AuditReport::default();
        let mut after = String::new();
        loop {
            let rows = in_time(operation, step(&mut session, self.statements(), &after)).await?;
            let Some((last, ..)) = rows.last() else { return Ok(report) };
            after.clone_from(last);
            report.events += rows.len() as u64;
            for (event, held, counted) in
                rows.into_iter().filter(|(_, held, counted)| held != counted)
            {
                let drift = Drift {
                    event: stored(operation, EventId::new(event))?,
                    held: held.unsigned_abs(),
                    counted,
                };
                if operation == Operation::Repair {
                    in_time(operation, mend(&mut session, self.statements(), &drift.event)).await?;
                }
                report.drifts.push(drift);
            }
        }
    }
}

async fn in_time<T>(
    operation: Operation,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| failure(operation, error, PATIENCE).error),
        Err(_) => Err(Error::timed_out(operation, PATIENCE, Effect::Unknown)),
    }
}

/// The next events, each with the number of its RSVPs and its count.
async fn step(
    session: &mut Session,
    sql: &Statements,
    after: &str,
) -> sqlx::Result<Vec<(String, i64, i64)>> {
    sqlx::query_as(&sql.audit).bind(after).bind(STEP).fetch_all(&mut session.connection).await
}

/// Two repairs at once would both add what is missing, so they take turns. The lock is taken in a
/// statement before the one whose snapshot counts.
async fn mend(session: &mut Session, sql: &Statements, event: &EventId) -> sqlx::Result<()> {
    let mut transaction = session.connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('rsvp repair of ' || $1, 0))")
        .bind(event.as_str())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(&sql.repair).bind(event.as_str()).execute(&mut *transaction).await?;
    transaction.commit().await
}
