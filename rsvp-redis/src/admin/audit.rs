//! Audit: comparing the sets of the events with the user index, one page at a time.

use rsvp_core::backend::CursorWriter;
use rsvp_core::{Action, Cursor, Operation, PageLimit, Result, Rsvp, Write};

use crate::data::cursor::tag;
use crate::data::keys::{Keys, Kind};
use crate::data::membership;
use crate::data::scan_all::{KeyspaceScan, Progress};
use crate::data::user_index::are_indexed;
use crate::wire::node::Node;
use crate::wire::request::Dispatch;
use crate::wire::topology::Topology;

/// The result of one bounded step of [`RedisStore::audit_step`](crate::RedisStore::audit_step) or
/// [`RedisStore::repair_step`](crate::RedisStore::repair_step).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStep {
    /// Entries that were compared.
    pub checked: u64,
    /// RSVPs that were missing from their user's list.
    pub missing: u64,
    /// Entries of users' lists without an RSVP.
    pub left_over: u64,
    /// The cursor of the next step. `None` after the last step.
    pub next: Option<Cursor>,
}

/// The result of [`RedisStore::audit`](crate::RedisStore::audit) or
/// [`RedisStore::repair`](crate::RedisStore::repair).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// Entries that were compared, in both directions.
    pub checked: u64,
    /// RSVPs that were missing from their user's list.
    pub missing: u64,
    /// Entries of users' lists without an RSVP.
    pub left_over: u64,
}

impl AuditStep {
    /// Counts the differences that `corrections` mend.
    pub(crate) fn with_corrections(self, corrections: &[Write]) -> Self {
        let adds = corrections.iter().filter(|write| write.action == Action::Rsvp);
        let missing = adds.count() as u64;
        Self { missing, left_over: corrections.len() as u64 - missing, ..self }
    }
}

impl AuditReport {
    /// Adds the result of a step.
    pub(crate) fn add(&mut self, step: &AuditStep) {
        self.checked += step.checked;
        self.missing += step.missing;
        self.left_over += step.left_over;
    }
}

/// One of the two passes of an audit, and how far it has got: over the events for missing entries,
/// then over the users for entries that are left over.
pub(crate) struct Pass {
    kind: Kind,
    tag: u8,
    progress: Progress,
}

impl Pass {
    /// Reads the cursor of a step, or begins without one.
    pub(crate) fn read(cursor: Option<&Cursor>) -> Result<Self> {
        let of_users =
            cursor.is_some_and(|cursor| cursor.as_bytes().first() == Some(&tag::AUDIT_USERS));
        // The first pass ends with a bare tag: the second pass has not begun.
        let cursor = cursor.filter(|cursor| cursor.as_bytes() != [tag::AUDIT_USERS]);
        let (kind, tag) = match of_users {
            false => (Kind::Event, tag::AUDIT_EVENTS),
            true => (Kind::User, tag::AUDIT_USERS),
        };
        Ok(Self { kind, tag, progress: Progress::read(tag, cursor)? })
    }
}

/// Compares the next entries of a pass, at most `limit`. Returns the step without its differences,
/// and the pairs that differed when they were read. Some may be writes that were under way.
pub(crate) async fn examine(
    servers: &impl Dispatch,
    topology: &Topology<Node>,
    keys: &Keys,
    operation: Operation,
    (Pass { kind, tag, progress }, limit): (Pass, PageLimit),
) -> Result<(AuditStep, Vec<Rsvp>)> {
    let scan = KeyspaceScan { servers, topology, keys, operation, kind, tag };
    let (pairs, mut next) = scan.page(progress, limit.get()).await?;
    if next.is_none() && kind == Kind::Event {
        next = Some(CursorWriter::new(tag::AUDIT_USERS).finish());
    }
    let checked = pairs.len() as u64;
    // Each pass looks at the other side.
    let agrees = match kind {
        Kind::Event => are_indexed(servers, keys, operation, &pairs).await?,
        Kind::User => membership::read(servers, keys, operation, &pairs).await?,
    };
    let differing = pairs.into_iter().zip(agrees).filter(|(_, agrees)| !agrees);
    let step = AuditStep { checked, next, ..AuditStep::default() };
    Ok((step, differing.map(|(pair, _)| pair).collect()))
}
