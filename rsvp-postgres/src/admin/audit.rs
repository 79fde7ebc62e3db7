//! The audit, which compares every count with its rows, and the repair of wrong counts.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::backend::{CursorReader, CursorWriter, stored_id};
use rsvp_core::{
    AuditStep, Cursor, Effect, EventId, Finding, FindingKind, MAX_ID_BYTES, Maintenance, Operation,
    Result, async_trait,
};

use super::repair::RepairCount;
use crate::config::PostgresConfig;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::connector::Connector;
use crate::wire::election::Latest;
use crate::wire::failure::WorkError;
use crate::wire::pool::{Limits, Pool};
use crate::wire::work::Work;

/// The number of events in one step.
const STEP: usize = 100;

/// The longest time of one statement. The events of a step may have millions of attendees.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// The most steps at once.
const AT_ONCE: usize = 4;

/// Compares the counts with the rows, on its own connections.
/// It opens them for a step and closes them after the last step.
#[derive(Debug)]
pub(crate) struct Auditor {
    pool: Pool,
}

impl Auditor {
    pub(crate) fn new(
        config: &PostgresConfig,
        latest: &Latest,
        sql: &Arc<Statements>,
    ) -> Result<Self> {
        let limits = Limits {
            size: AT_ONCE,
            acquire_timeout: STEP_TIMEOUT,
            statement_timeout: STEP_TIMEOUT,
            lock_timeout: STEP_TIMEOUT,
            cancels_dropped: true,
        };
        Ok(Self { pool: Pool::new(Connector::maintenance(config, latest), limits, sql)? })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Compares the events after the cursor.
    /// Corrects wrong counts, too, if the operation is a repair.
    async fn step(&self, operation: Operation, cursor: Option<&Cursor>) -> Result<AuditStep> {
        // 1. The next events in order.
        let call = self.pool.enter(operation, None)?;
        let next = NextEvents { operation, after: last_event(cursor)? };
        let rows = self.pool.run_within(&call, next, None).await?;
        let (checked, last) = (rows.len(), rows.last().map(|(event, ..)| event.clone()));
        let mut findings = Vec::new();
        // 2. The events with a wrong count.
        for (event, held, counted) in rows.into_iter().filter(|(_, held, counted)| held != counted)
        {
            let event = stored_id(operation, EventId::new(event))?;
            if operation == Operation::Repair {
                // An earlier repair of this step stays in effect when a later one fails.
                let repair = RepairCount { event: event.clone() };
                let repaired = self.pool.run_within(&call, repair, None).await;
                repaired.map_err(|error| {
                    let effect = error.effect().and(Effect::Unknown);
                    error.with_effect(effect)
                })?;
            }
            let kind = FindingKind::Count { held: held.unsigned_abs(), counted };
            findings.push(Finding::new(kind, event, None));
        }
        // 3. The cursor. A step with fewer events than the limit is the last.
        let last = last.filter(|_| checked == STEP);
        if last.is_none() {
            self.pool.close_idle().await;
        }
        let next = last.map(|event| CursorWriter::new(TAG, "").text(&event).finish());
        Ok(AuditStep::new(checked as u64, findings, next))
    }
}

/// The first byte of the cursors.
const TAG: u8 = b'm';

/// Returns the last event of the previous step, empty if there was none.
fn last_event(cursor: Option<&Cursor>) -> Result<String> {
    let Some(cursor) = cursor else { return Ok(String::new()) };
    let mut fields = CursorReader::new(TAG, "", cursor)?;
    let event = fields.text(MAX_ID_BYTES)?.to_owned();
    fields.end()?;
    Ok(event)
}

#[async_trait]
impl Maintenance for Auditor {
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        self.step(Operation::Audit, cursor).await
    }

    async fn repair_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        self.step(Operation::Repair, cursor).await
    }
}

/// Reads the next events after one, each with the number of its RSVPs and its count.
#[derive(Clone, Debug)]
struct NextEvents {
    operation: Operation,
    after: String,
}

impl Work for NextEvents {
    type Answer = Vec<(String, i64, i64)>;

    fn operation(&self) -> Operation {
        self.operation
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        let query = sqlx::query_as(&sql.audit).bind(&self.after).bind(STEP as i64);
        let query = query.persistent(connection.keeps_statements());
        Ok(query.fetch_all(&mut connection.pg).await?)
    }
}
