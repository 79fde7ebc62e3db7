//! Reads from replicas that are fresh enough.
//!
//! A read may go to a replica once the replica has replayed the primary's log up to a watermark.
//! The watermark follows from the [`Consistency`] of the read:
//!
//! | level | watermark |
//! |---|---|
//! | `Strong` | none, because only the primary may answer |
//! | `Session` | the token's LSN for the log of the primary |
//! | `Bounded` | an LSN of the primary from within the bound, by the lag tracker |
//! | `Eventual` | the beginning of the timeline, in the log of every replica |
//!
//! Replicas are asked in turn, and a failed one is passed over for a while.
//! If no replica answers, the caller asks the primary.
//! If a replica was only too busy, few callers may ask the primary.
//! The load of the replicas would take the primary down, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{Consistency, Deadline, Error, Operation, ReadOptions};
use tokio::time::{Instant, timeout_at};

use super::connector::Connector;
use super::lag_tracker::LagTracker;
use super::lsn::Watermark;
use super::pool::Pool;
use super::replica_health::{Health, Use};
use super::replica_read::{self, CurrentWatermark, IfReplayed, RecordTimeline, Replayed};
use super::work::Work;
use crate::config::PostgresConfig;
use crate::sql::Statements;

/// The read replicas of one primary.
#[derive(Debug)]
pub(crate) struct Replicas {
    replicas: Vec<Arc<Replica>>,
    /// The next replica in turn, modulo their number.
    next: AtomicUsize,
    lag: Arc<LagTracker>,
}

/// The reason why no replica has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// No replica is as fresh as asked, or none is there.
    NotFresh,
    /// A replica was too busy. It may be as fresh as asked.
    Busy,
}

#[derive(Debug)]
struct Replica {
    pool: Pool,
    health: Health,
}

impl Replicas {
    pub(crate) fn new(config: &PostgresConfig, sql: &Arc<Statements>) -> rsvp_core::Result<Self> {
        let replica = |host| {
            let pool = Pool::new(Connector::replica(config, host), config.into(), sql)?;
            Ok(Arc::new(Replica { pool, health: Health::default() }))
        };
        let replicas = config.replica_hosts().map(replica).collect::<rsvp_core::Result<_>>()?;
        Ok(Self { replicas, next: AtomicUsize::new(0), lag: Arc::default() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replicas.is_empty()
    }

    /// Closes the connections to all replicas.
    pub(crate) async fn close(&self) {
        join_all(self.replicas.iter().map(|replica| replica.pool.close())).await;
    }

    /// Returns the answer of a replica as fresh as `options` ask, and its greatest possible age.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    pub(crate) async fn read<W: Work>(
        &self,
        primary: &Pool,
        work: &W,
        options: &ReadOptions,
    ) -> Result<(W::Answer, Duration), Absent> {
        if self.is_empty() {
            return Err(Absent::NotFresh);
        }
        // 1. Half of the time, so that the primary can be asked afterwards.
        let consistency = &options.consistency;
        let deadline = options.deadline.map(|deadline| Deadline::after(deadline.remaining() / 2));
        // 2. The watermark for the replica.
        let finding = self.watermark(primary, work.operation(), consistency);
        let watermark = within(deadline, finding).await.flatten().ok_or(Absent::NotFresh)?;
        // 3. The answer of a replica past the watermark.
        let found = self.first_answer(primary, work, watermark, deadline).await;
        let Replayed { answer, watermark } = found?;
        // 4. Its age now. Time has passed since the watermark was chosen, perhaps too much.
        let age = self.lag.age(watermark);
        let age = match consistency {
            Consistency::Bounded(bound) => {
                age.filter(|age| age <= bound).ok_or(Absent::NotFresh)?
            }
            _ => age.unwrap_or(Duration::MAX),
        };
        Ok((answer, age))
    }

    /// Returns the watermark for a read of `consistency`. `None` sends it to the primary.
    async fn watermark(
        &self,
        primary: &Pool,
        operation: Operation,
        consistency: &Consistency,
    ) -> Option<Watermark> {
        match consistency {
            Consistency::Strong => None,
            Consistency::Session(token) if !token.is_empty() => {
                // A token of another log has no position in this one.
                Watermark::in_token(token, primary.timeline().log())
            }
            Consistency::Session(_) | Consistency::Eventual => Some(primary.timeline().start()),
            Consistency::Bounded(bound) => self.bounded(primary, operation, *bound).await,
            // A level of a later release of the contract.
            _ => None,
        }
    }

    /// Returns the watermark of a read within `bound`.
    /// It asks the primary for a sample if one is due, and waits only without an earlier sample.
    async fn bounded(
        &self,
        primary: &Pool,
        operation: Operation,
        bound: Duration,
    ) -> Option<Watermark> {
        if let Some(now) = self.lag.claim_sample(bound) {
            let sampling = sample(self.lag.clone(), primary.clone(), operation, now);
            let sampling = tokio::spawn(sampling);
            if self.lag.watermark(primary.timeline(), bound).is_none() {
                // Its success shows in the tracker.
                let _ = sampling.await;
            }
        }
        // The sample may have found a new primary.
        self.lag.watermark(primary.timeline(), bound)
    }

    /// Returns the answer of the first replica, in turn, that has replayed `watermark`.
    /// Replicas that are down, lag behind or follow another primary are passed over.
    async fn first_answer<W: Work>(
        &self,
        primary: &Pool,
        work: &W,
        watermark: Watermark,
        deadline: Option<Deadline>,
    ) -> Result<Replayed<W::Answer>, Absent> {
        let mut absent = Absent::NotFresh;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..self.replicas.len() {
            let at = first.wrapping_add(offset) % self.replicas.len();
            let Some(replica) = self.replicas.get(at) else { continue };
            if !replica.may_be_asked(work.operation()) {
                continue;
            }
            let operation = work.operation();
            let work = IfReplayed { work: work.clone(), watermark };
            match replica.pool.run(work, deadline).await {
                Ok(replica_read::Replica::Answered(replayed)) => return Ok(replayed),
                Ok(replica_read::Replica::Behind) => {}
                Ok(replica_read::Replica::OfAnotherLog) => replica.health.failed(),
                Ok(replica_read::Replica::OnEarlierTimeline) => {
                    // It is passed over for a while. By then it may have replayed the record.
                    replica.health.failed();
                    tokio::spawn(record_timeline(primary.clone(), operation));
                }
                // The replica is well. It has refused the call.
                Err(error) if !error.is_retryable() => return Err(Absent::NotFresh),
                Err(Error::Overloaded { .. }) => absent = Absent::Busy,
                Err(_) => replica.health.failed(),
            }
        }
        Err(absent)
    }
}

/// Returns the output of `future`, if it has one before the deadline.
async fn within<F: Future>(deadline: Option<Deadline>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline.instant(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Asks the primary for its position in the log. `now` is the moment before the request.
async fn sample(lag: Arc<LagTracker>, primary: Pool, operation: Operation, now: Instant) {
    let answer = primary.run(CurrentWatermark { operation }, None).await;
    if let Ok((timeline, position)) = answer {
        lag.record(now, timeline, position);
    }
}

/// Has the primary record its timeline. After a failure, replicas stay passed over.
async fn record_timeline(primary: Pool, operation: Operation) {
    let _ = primary.run(RecordTimeline { operation }, None).await;
}

impl Replica {
    /// Whether a call may ask it. After a failure it is tried from time to time beside the calls,
    /// because a trial of a silent replica takes as long as the timeouts.
    fn may_be_asked(self: &Arc<Self>, operation: Operation) -> bool {
        let allowed = self.health.allowed();
        if allowed == Use::Try {
            tokio::spawn(Arc::clone(self).try_again(operation));
        }
        allowed == Use::Ask
    }

    async fn try_again(self: Arc<Self>, operation: Operation) {
        match self.pool.run(CurrentWatermark { operation }, None).await {
            Ok(_) => self.health.recovered(),
            Err(_) => self.health.failed(),
        }
    }
}
