//! Maintenance of a store: finding and repairing wrong derived data.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Cursor, EventId, Result, UserId};

/// A difference between derived data and the RSVPs.
///
/// ```
/// use rsvp_core::{EventId, Finding, FindingKind};
///
/// let kind = FindingKind::Count { held: 10, counted: 11 };
/// let finding = Finding::new(kind, EventId::from(101), None);
/// assert_eq!(finding.event.as_str(), "101");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of the difference.
    pub kind: FindingKind,
    /// The event of the difference.
    pub event: EventId,
    /// The user of the difference, if it has one.
    pub user: Option<UserId>,
}

impl Finding {
    /// Makes a finding about an event.
    #[must_use]
    pub fn new(kind: FindingKind, event: EventId, user: Option<UserId>) -> Self {
        Self { kind, event, user }
    }
}

/// The kind of a [`Finding`].
///
/// ```
/// use rsvp_core::FindingKind;
///
/// /// Describes a finding for a log.
/// fn describe(kind: FindingKind) -> String {
///     match kind {
///         FindingKind::Count { held, counted } => format!("counted {counted} of {held} RSVPs"),
///         FindingKind::Missing => "missing in the user's list".to_owned(),
///         FindingKind::LeftOver => "left over in the user's list".to_owned(),
///         other => format!("{other:?}"),
///     }
/// }
/// assert_eq!(describe(FindingKind::Count { held: 2, counted: 3 }), "counted 3 of 2 RSVPs");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// The count of an event differs from the number of its RSVPs.
    Count {
        /// The number of RSVPs.
        held: u64,
        /// The stored count.
        counted: i64,
    },
    /// An RSVP is missing in the list of its user.
    Missing,
    /// The list of a user has an entry without an RSVP.
    LeftOver,
}

/// The answer to one bounded step of an audit or a repair.
///
/// ```
/// use rsvp_core::{Maintenance, Result};
///
/// /// Audits a store at the pace of its caller.
/// async fn differences(maintenance: &dyn Maintenance) -> Result<usize> {
///     let (mut found, mut cursor) = (0, None);
///     loop {
///         let step = maintenance.audit_step(cursor.as_ref()).await?;
///         found += step.findings.len();
///         let Some(next) = step.next else { return Ok(found) };
///         cursor = Some(next);
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStep {
    /// The number of compared entries.
    pub checked: u64,
    /// The differences. A repair has fixed them.
    pub findings: Vec<Finding>,
    /// The cursor of the next step. `None` after the last step.
    pub next: Option<Cursor>,
}

impl AuditStep {
    /// Makes the answer to a step.
    #[must_use]
    pub fn new(checked: u64, findings: Vec<Finding>, next: Option<Cursor>) -> Self {
        Self { checked, findings, next }
    }
}

/// The answer to a whole audit or repair.
///
/// ```
/// use rsvp_core::{Audit, Maintenance, Result};
///
/// /// Repairs a store after an import, and fails if a second look still finds a difference.
/// async fn repair(maintenance: &dyn Maintenance) -> Result<bool> {
///     maintenance.repair().await?;
///     let Audit { findings, .. } = maintenance.audit().await?;
///     Ok(findings.is_empty())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// The number of compared entries.
    pub checked: u64,
    /// The differences. A repair has fixed them.
    pub findings: Vec<Finding>,
}

/// Compares derived data, such as counts, with the RSVPs of a store.
///
/// A host reaches it through [`RsvpStore::maintenance`](crate::RsvpStore::maintenance),
/// through any layers around the store.
/// It is a trait object, so that layers and shards can pass it on.
///
/// ```
/// use rsvp_core::{Result, RsvpStore};
///
/// /// Logs the result of a nightly audit.
/// async fn nightly(store: &dyn RsvpStore) -> Result<String> {
///     let Some(maintenance) = store.maintenance() else {
///         return Ok("the store derives nothing".to_owned());
///     };
///     let audit = maintenance.audit().await?;
///     Ok(format!("{} entries, {} differences", audit.checked, audit.findings.len()))
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # assert_eq!(nightly(&rsvp_memory::MemoryStore::new()).await?, "the store derives nothing");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Maintenance: Debug + Send + Sync {
    /// Compares a bounded part of the store, beginning at the end of the step before.
    ///
    /// It may run during writes, and changes nothing.
    ///
    /// # Errors
    ///
    /// The errors of its reads, and [`Error::InvalidInput`](crate::Error::InvalidInput)
    /// for a cursor of another origin.
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep>;

    /// Compares a bounded part of the store and repairs every difference,
    /// as [`audit_step`](Self::audit_step).
    ///
    /// # Errors
    ///
    /// The errors of its reads and writes. It may be repeated.
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

    /// Compares the whole store and repairs every difference, step by step.
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
    /// Adds a step, and returns the beginning of the next one.
    fn take(&mut self, step: AuditStep) -> Option<Cursor> {
        self.checked = self.checked.saturating_add(step.checked);
        self.findings.extend(step.findings);
        step.next
    }
}
