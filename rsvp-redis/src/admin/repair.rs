//! Mending the users' side, which is derived, from the truth.

use redis::{Cmd, cmd};
use rsvp_core::{Action, Cursor, Error, Operation, PageLimit, Result, Rsvp, Write};

use crate::RedisStore;
use crate::data::cursor::Writer;
use crate::data::keys::{Key, Kind};
use crate::data::scan_all::Walk;
use crate::data::user_index::{read_truth, settle};
use crate::data::write::{all, flag};
use crate::wire::request::Unit;

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
    /// It may run while others write. On a single server it counts and changes only what differs;
    /// in a cluster it may count what others are in the middle of, which does no harm. Lists differ
    /// only after a write to a cluster that failed with unknown effect and was not repeated, or in
    /// the middle of which its process died, after a fail-over that lost some writes, or when
    /// something else has changed the keys. It costs a few round trips
    /// for each 1,000 entries; [`reconcile_step`](Self::reconcile_step) leaves the pace to the
    /// caller.
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
        // The pairs may have changed since they were walked over.
        let suspects = if of_users {
            let held = read_truth(network, keys, Operation::Repair, pairs.iter()).await?;
            differing(pairs, &held)
        } else {
            let listed = self.are_listed(&pairs).await?;
            differing(pairs, &listed)
        };
        let writes = self.corrections(suspects).await?;
        let missing = writes.iter().filter(|write| write.action == Action::Rsvp).count() as u64;
        let left_over = writes.len() as u64 - missing;
        if !writes.is_empty() {
            let store = self.clone();
            self.to_the_end(Operation::Repair, async move {
                settle(store.network(), store.keys(), Operation::Repair, writes).await
            })
            .await?;
        }
        Ok(ReconcileStep { checked, missing, left_over, next })
    }

    /// What mends those of the pairs that do differ.
    ///
    /// On a single server both directions are looked at in one moment: to write what was true a
    /// moment ago would show a user an RSVP that has been cancelled, until it is settled. In a
    /// cluster a write that is under way looks as one that was left in the middle, and what mends
    /// it is what it does next.
    async fn corrections(&self, pairs: Vec<Rsvp>) -> Result<Vec<Write>> {
        let (network, keys) = (self.network(), self.keys());
        let sides: Vec<(bool, bool)> = if network.config().cluster {
            let truth = read_truth(network, keys, Operation::Repair, pairs.iter()).await?;
            truth.into_iter().zip(self.are_listed(&pairs).await?).collect()
        } else {
            let look = |pair: &Rsvp| {
                let key = keys.event(&pair.event, keys.part_of(&pair.user));
                let is_in = cmd("SISMEMBER").arg(key.name).arg(pair.user.as_str()).to_owned();
                Unit::together(key.slot, vec![is_in, self.is_listed(pair).1])
            };
            let answers = self.ask(pairs.iter().map(look).collect()).await?;
            let sides =
                |sides: &[bool]| (sides.first() == Some(&true), sides.get(1) == Some(&true));
            answers.chunks(2).map(sides).collect()
        };
        let pairs = pairs.into_iter().zip(sides);
        let correction = |(pair, (held, listed)): (Rsvp, (bool, bool))| match (held, listed) {
            (true, false) => Some(Write::rsvp(pair.user, pair.event)),
            (false, true) => Some(Write::cancel(pair.user, pair.event)),
            _ => None,
        };
        Ok(pairs.filter_map(correction).collect())
    }

    /// For each pair, whether it is in its user's list.
    async fn are_listed(&self, pairs: &[Rsvp]) -> Result<Vec<bool>> {
        let unit = |pair: &Rsvp| {
            let (key, command) = self.is_listed(pair);
            Unit::read(key.slot, command)
        };
        self.ask(pairs.iter().map(unit).collect()).await
    }

    fn is_listed(&self, pair: &Rsvp) -> (Key, Cmd) {
        let key = self.keys().user(&pair.user);
        let command = cmd("HEXISTS").arg(&key.name).arg(pair.event.as_str()).to_owned();
        (key, command)
    }

    /// The answers to questions of yes or no.
    async fn ask(&self, units: Vec<Unit>) -> Result<Vec<bool>> {
        let answers = all(Operation::Repair, self.network().run(Operation::Repair, units).await)?;
        let values = answers.into_iter().flat_map(|answer| answer.values);
        let answer = |value| {
            let answer = flag(value);
            answer.ok_or_else(|| Error::corrupt(Operation::Repair, "neither yes nor no"))
        };
        values.map(answer).collect()
    }
}

fn differing(pairs: Vec<Rsvp>, agrees: &[bool]) -> Vec<Rsvp> {
    let differing = pairs.into_iter().zip(agrees).filter(|(_, agrees)| !**agrees);
    differing.map(|(pair, _)| pair).collect()
}
