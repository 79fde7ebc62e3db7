//! Comparing every count with the rows it counts, and repairing those that differ.

use std::time::Duration;

use rsvp_core::backend::stored_id;
use rsvp_core::{Effect, EventId, Operation, Result};

use super::maintenance::Maintenance;
use super::repair::RepairCount;
use crate::config::PostgresConfig;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// The number of events that one statement of an audit compares.
const STEP: i64 = 100;

/// The longest time of one statement: the events of a step may have millions of attendees.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// An event whose count is not the number of its RSVPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The event.
    pub event: EventId,
    /// The number of RSVPs that it has.
    pub held: u64,
    /// The number that its count gives.
    pub counted: i64,
}

/// The result of an audit or a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// The number of events that were compared.
    pub events: u64,
    /// The events that differed.
    pub drifts: Vec<Drift>,
}

/// Compares every count with the rows.
pub(crate) async fn audit(config: &PostgresConfig) -> Result<AuditReport> {
    walk(config, Operation::Audit).await
}

/// Compares every count with the rows, and repairs each that differs.
pub(crate) async fn audit_and_repair(config: &PostgresConfig) -> Result<AuditReport> {
    // Counts that were repaired stay so when a later step fails.
    walk(config, Operation::Repair).await.map_err(|error| error.with_effect(Effect::Unknown))
}

async fn walk(config: &PostgresConfig, operation: Operation) -> Result<AuditReport> {
    let mut maintenance = Maintenance::connect(config, operation, STEP_TIMEOUT).await?;
    let mut report = AuditReport::default();
    let mut after = String::new();
    loop {
        // 1. The next events in order, until there are no more.
        let rows = maintenance.run(AuditStep { operation, after: after.clone() }).await?;
        let Some((last, ..)) = rows.last() else { return Ok(report) };
        after.clone_from(last);
        report.events += rows.len() as u64;
        // 2. Those that differ.
        for (event, held, counted) in rows.into_iter().filter(|(_, held, counted)| held != counted)
        {
            let event = stored_id(operation, EventId::new(event))?;
            if operation == Operation::Repair {
                maintenance.run(RepairCount { event: event.clone() }).await?;
            }
            report.drifts.push(Drift { event, held: held.unsigned_abs(), counted });
        }
    }
}

/// Reads the next events after one, each with the number of its RSVPs and its count.
#[derive(Clone, Debug)]
struct AuditStep {
    operation: Operation,
    after: String,
}

impl Work for AuditStep {
    type Answer = Vec<(String, i64, i64)>;

    fn operation(&self) -> Operation {
        self.operation
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Self::Answer> {
        let query = sqlx::query_as(&sql.audit).bind(&self.after).bind(STEP);
        query.fetch_all(&mut connection.pg).await
    }
}
