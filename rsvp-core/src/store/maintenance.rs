//! Maintenance of a store: finding and mending derived data that differs from the truth.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Cursor, EventId, Result, UserId};

/// A difference between data that a store derives and the RSVPs that it derives it from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of the difference.
    pub kind: FindingKind,
    /// The event that it concerns.
    pub event: EventId,
    /// The user that it concerns, if it concerns one.
    pub user: Option<UserId>,
}

impl Finding {
    /// A finding about an event.
    #[must_use]
    pub fn new(kind: FindingKind, event: EventId, user: Option<UserId>) -> Self {
        Self { kind, event, user }
    }
}

/// The kind of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// The count of an event is not the number of its RSVPs.
    Count {
        /// The number of RSVPs.
        held: u64,
        /// The count.
        counted: i64,
    },
    /// An RSVP is not in the list of its user.
    Missing,
    /// The list of a user has an entry without an RSVP.
    LeftOver,
}

/// The answer to one bounded step of an audit or a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStep {
    /// The number of entries that were compared.
    pub checked: u64,
    /// The differences that were found, and mended if it was a repair.
    pub findings: Vec<Finding>,
    /// Where the next step begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl AuditStep {
    /// The answer to a step.
    #[must_use]
    pub fn new(checked: u64, findings: Vec<Finding>, next: Option<Cursor>) -> Self {
        Self { checked, findings, next }
    }
}

/// The answer to a whole audit or repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// The number of entries that were compared.
    pub checked: u64,
    /// The differences that were found, and mended if it was a repair.
    pub findings: Vec<Finding>,
}

/// Compares the data that a store derives with the RSVPs that it derives it from.
///
/// A host reaches it through [`RsvpStore::maintenance`](crate::RsvpStore::maintenance), however the
/// store was opened and whatever layers are around it. It is a trait object and not a downcast, so
/// that layers and shards can pass it on.
#[async_trait]
pub trait Maintenance: Debug + Send + Sync {
    /// Compares a bounded part of the store, beginning where the step before ended.
    ///
    /// It may run while others write, and mends nothing.
    ///
    /// # Errors
    ///
    /// As the reads that it consists of, and [`Error::InvalidInput`](crate::Error::InvalidInput)
    /// for a cursor that no step has returned.
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep>;

    /// Compares a bounded part of the store and mends every difference, as
    /// [`audit_step`](Self::audit_step).
    ///
    /// # Errors
    ///
    /// As the reads and writes that it consists of. It may be repeated.
    async fn repair_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep>;

    /// Compares the whole store, step by step.
    ///
    /// # Errors
    ///
    /// As [`audit_step`](Self::audit_step).
    async fn audit(&self) -> Result<Audit> {
        let mut audit = Audit::default();
        let mut step = self.audit_step(None).await?;
        while let Some(cursor) = audit.take(step) {
            step = self.audit_step(Some(&cursor)).await?;
        }
        Ok(audit)
    }

    /// Compares the whole store and mends every difference, step by step.
    ///
    /// # Errors
    ///
    /// As [`repair_step`](Self::repair_step).
    async fn repair(&self) -> Result<Audit> {
        let mut audit = Audit::default();
        let mut step = self.repair_step(None).await?;
        while let Some(cursor) = audit.take(step) {
            step = self.repair_step(Some(&cursor)).await?;
        }
        Ok(audit)
    }
}

impl Audit {
    /// Adds a step, and tells where the next one begins.
    fn take(&mut self, step: AuditStep) -> Option<Cursor> {
        self.checked = self.checked.saturating_add(step.checked);
        self.findings.extend(step.findings);
        step.next
    }
}
