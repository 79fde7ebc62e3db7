//! Mending the users' side, which is derived, from the truth.

use redis::cmd;
use rsvp_core::{Cursor, Operation, PageLimit, Result, Rsvp, Write};

use crate::RedisStore;
use crate::cursor::Writer;
use crate::keys::Kind;
use crate::settle::{read_truth, settle};
use crate::unit::Unit;
use crate::walk::Walk;
use crate::write::{all, flag};

/// The tags of the cursors of the two passes.
const TRUTH: u8 = b't';
const USERS: u8 = b'u';

/// What one bounded step of [`RedisStore::reconcile_step`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileStep {
    /// Entries that were looked at.
    pub checked: u64,
    /// RSVPs that were not in their user's list.
    pub missing: u64,
    /// Entries of users' lists without an RSVP.
    pub left_over: u64,
    /// Where the next step begins; none after the last.
    pub next: Option<Cursor>,
}

/// What [`RedisStore::reconcile`] has mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileReport {
    /// Entries that were looked at, in both directions.
    pub checked: u64,
    /// RSVPs that were not in their user's list and have been added to it.
    pub missing: u64,
    /// Entries of users' lists without an RSVP, which have been removed.
    pub left_over: u64,
}

impl RedisStore {
    /// Walks over every RSVP and every user's list, and mends the lists that differ.
    ///
    /// It may run while others write, and finds nothing to mend in what they are at. Lists differ
    /// only after a process has died in the middle of a write to a cluster, after one that failed with
    /// unknown effect and was not repeated, after a fail-over that lost some writes, or when something
    /// else has changed the keys. It costs a few round trips for each 1,000
    /// entries; [`reconcile_step`](Self::reconcile_step) leaves the pace to the caller.
    ///
    /// # Errors
    ///
    /// As the reads and writes that it consists of. It may be repeated.
    pub async fn reconcile(&self) -> Result<ReconcileReport> {
        let mut report = ReconcileReport::default();
        let mut cursor = None;
        loop {
            let step = self.reconcile_step(cursor.as_ref(), PageLimit::default()).await?;
            report.checked += step.checked;
            report.missing += step.missing;
            report.left_over += step.left_over;
            if step.next.is_none() {
                return Ok(report);
            }
            cursor = step.next;
        }
    }

    /// One step of [`reconcile`](Self::reconcile), over at most `limit` entries: first of the
    /// events, for what is missing, then of the users, for what is left over.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) with the field `cursor` for one
    /// that this method has not returned; otherwise as [`reconcile`](Self::reconcile).
    pub async fn reconcile_step(
        &self,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<ReconcileStep> {
        let _permit = self.permit(Operation::Repair)?;
        let of_users = cursor.is_some_and(|cursor| cursor.as_bytes().first() == Some(&USERS));
        // The cursor that the first pass ends with is one of the second that has not begun.
        let cursor = cursor.filter(|cursor| cursor.as_bytes() != [USERS]);
        let (kind, tag) = if of_users { (Kind::User, USERS) } else { (Kind::Event, TRUTH) };
        let (network, keys) = (self.network(), self.keys());
        let walk = Walk { network, keys, operation: Operation::Repair, kind, tag };
        let (pairs, mut next) = walk.page(cursor, limit.get()).await?;
        if next.is_none() && !of_users {
            next = Some(Writer::new(USERS).cursor());
        }
        let checked = pairs.len() as u64;
        // Of the pairs that exist, those which the user's list lacks; and the other way round.
        let differing = if of_users {
            let held = read_truth(network, keys, Operation::Repair, pairs.iter()).await?;
            differing(pairs, &held)
        } else {
            let listed = self.are_listed(&pairs).await?;
            differing(pairs, &listed)
        };
        let count = differing.len() as u64;
        let (missing, left_over) = if of_users { (0, count) } else { (count, 0) };
        if !differing.is_empty() {
            let (repaired, store) = (differing, self.clone());
            let write = move |pair: Rsvp| match of_users {
                true => Write::cancel(pair.user, pair.event),
                false => Write::rsvp(pair.user, pair.event),
            };
            let writes = repaired.into_iter().map(write).collect();
            self.to_the_end(Operation::Repair, async move {
                settle(store.network(), store.keys(), Operation::Repair, writes).await
            })
            .await?;
        }
        Ok(ReconcileStep { checked, missing, left_over, next })
    }

    /// For each pair, whether it is in its user's list.
    async fn are_listed(&self, pairs: &[Rsvp]) -> Result<Vec<bool>> {
        let unit = |pair: &Rsvp| {
            let key = self.keys().user(&pair.user);
            let mut command = cmd("HEXISTS");
            command.arg(&key.name).arg(pair.event.as_str());
            Unit::read(key.slot, command)
        };
        let units = pairs.iter().map(unit).collect();
        let answers = all(Operation::Repair, self.network().run(Operation::Repair, units).await)?;
        let listed = answers.into_iter().map(|answer| {
            let value = answer.values.into_iter().next().and_then(flag);
            value.ok_or_else(|| rsvp_core::Error::corrupt(Operation::Repair, "neither yes nor no"))
        });
        listed.collect()
    }
}

fn differing(pairs: Vec<Rsvp>, agrees: &[bool]) -> Vec<Rsvp> {
    let differing = pairs.into_iter().zip(agrees).filter(|(_, agrees)| !**agrees);
    differing.map(|(pair, _)| pair).collect()
}
