//! Compares every count with its rows, and repairs wrong counts.

use std::sync::Arc;

use rsvp_core::backend::{CursorReader, CursorWriter, stored_id};
use rsvp_core::{
    AuditStep, Cursor, Effect, EventId, Finding, FindingKind, Maintenance, Operation, Result,
    async_trait,
};
use rusqlite::Connection;

use crate::data::change::{Care, Change};
use crate::data::names::Changes;
use crate::data::read::Read;
use crate::engine::Threads;
use crate::wire::failure::Failure;

/// The maximum number of events in one step.
const EVENTS: i64 = 1000;

/// A step ends after this number of RSVPs.
/// One step compares all RSVPs of an event.
/// Otherwise a write in between would look like a difference.
const RSVPS: u64 = 100_000;

/// The first byte of the cursors.
const TAG: u8 = b'm';

/// Compares the counts with the rows.
#[derive(Debug)]
pub(crate) struct Auditor(pub(crate) Arc<Threads>);

impl Auditor {
    async fn step(&self, operation: Operation, cursor: Option<&Cursor>) -> Result<AuditStep> {
        // 1. Find the next events with a wrong count.
        let compare = Compare { operation, after: last_event(cursor)? };
        let Compared { checked, differing, last } = self.0.read(compare, 1, None).await?;
        // 2. Repair them, in one transaction.
        if operation == Operation::Repair && !differing.is_empty() {
            let events = differing.iter().map(|event| event.id).collect();
            let repaired = self.0.change(Repair { events }, 1, None).await;
            repaired.map_err(|error| {
                // Earlier steps stay repaired, so the effect of the whole repair is unknown.
                let effect = error.effect().and(Effect::Unknown);
                error.with_effect(effect)
            })?;
        }
        // 3. Report the findings.
        let finding = |Differing { name, held, counted, .. }| {
            let event = stored_id(operation, EventId::new(name))?;
            // An event without RSVPs should have no row.
            // It is a finding even if its count of zero is right.
            let kind = match (held, counted) {
                (0, 0) => FindingKind::LeftOver,
                _ => FindingKind::Count { held, counted },
            };
            Ok(Finding::new(kind, event, None))
        };
        let findings = differing.into_iter().map(finding).collect::<Result<_>>()?;
        let next = last.map(|id| CursorWriter::new(TAG, "").u64(id.unsigned_abs()).finish());
        Ok(AuditStep::new(checked, findings, next))
    }
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

/// Returns the id of the last event of the step before. Ids begin at 1, so zero means none.
fn last_event(cursor: Option<&Cursor>) -> Result<i64> {
    let Some(cursor) = cursor else { return Ok(0) };
    let mut fields = CursorReader::new(TAG, "", cursor)?;
    let last = i64::try_from(fields.u64()?).map_err(|_| Cursor::refused())?;
    fields.end()?;
    Ok(last)
}

/// Compares the counts of the events after an id.
#[derive(Debug)]
struct Compare {
    operation: Operation,
    after: i64,
}

#[derive(Debug)]
struct Compared {
    checked: u64,
    differing: Vec<Differing>,
    /// The id of the last compared event, if others may follow.
    last: Option<i64>,
}

#[derive(Debug)]
struct Differing {
    id: i64,
    name: String,
    held: u64,
    counted: i64,
}

impl Read for Compare {
    type Answer = Compared;

    fn operation(&self) -> Operation {
        self.operation
    }

    fn read(&self, connection: &Connection) -> std::result::Result<Compared, Failure> {
        let sql = "SELECT id, name, count FROM events WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut events = connection.prepare_cached(sql)?;
        let mut held = connection.prepare_cached("SELECT count(*) FROM rsvps WHERE event = ?1")?;
        let mut rows = events.query([self.after, EVENTS])?;
        let (mut checked, mut walked, mut differing) = (0, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let (id, counted): (i64, i64) = (row.get(0)?, row.get(2)?);
            let held: i64 = held.query_row([id], |row| row.get(0))?;
            if held != counted || held == 0 {
                let (name, held) = (row.get(1)?, held.unsigned_abs());
                differing.push(Differing { id, name, held, counted });
            }
            checked += 1;
            walked += held.unsigned_abs();
            if checked == EVENTS.unsigned_abs() || walked >= RSVPS {
                // A limit is reached. If no event follows, the next step is empty.
                return Ok(Compared { checked, differing, last: Some(id) });
            }
        }
        Ok(Compared { checked, differing, last: None })
    }
}

/// Sets the counts of events to the numbers of their rows.
#[derive(Debug)]
struct Repair {
    events: Vec<i64>,
}

impl Change for Repair {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Repair
    }

    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> std::result::Result<(), Failure> {
        // Counts of earlier calls in this transaction must be in the table before the rows are
        // counted.
        changes.flush()?;
        let sql = "UPDATE events SET count = (SELECT count(*) FROM rsvps WHERE event = ?1)
                   WHERE id = ?1";
        let connection = changes.connection();
        let mut count = connection.prepare_cached(sql)?;
        for event in &self.events {
            count.execute([*event])?;
            changes.drop_if_empty(*event)?;
        }
        Ok(())
    }
}
