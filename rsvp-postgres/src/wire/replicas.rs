//! Reading from replicas that are fresh enough.
//!
//! A read may go to a replica if the replica has replayed the primary's log up to a watermark,
//! which follows from the [`Consistency`] of the read:
//!
//! | level | watermark |
//! |---|---|
//! | `Strong` | none: only the primary may answer |
//! | `Session` | the LSN that the token holds for the log of the primary |
//! | `Bounded` | the LSN that the primary had passed within the bound, from the lag tracker |
//! | `Eventual` | the beginning of the log, which every replica has replayed |
//!
//! Replicas are asked in turn, and one that fails is passed over for a while. If no replica
//! answers, the caller asks the primary. But if one would have answered and was too busy, only few
//! callers may ask the primary: the load that replicas were made for would take it down too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{Consistency, Deadline, Error, Operation, ReadOptions};
use tokio::time::{Instant, timeout_at};

use super::connector::Connector;
use super::health::{Health, Use};
use super::lag_tracker::LagTracker;
use super::lsn::Watermark;
use super::pool::Pool;
use super::replayed::{self, CurrentWatermark, IfReplayed, RecordTimeline, Replayed};
use super::work::Work;
use crate::config::PostgresConfig;
use crate::sql::Statements;

/// The read replicas of one primary.
#[derive(Debug)]
pub(crate) struct Replicas {
    replicas: Vec<Arc<Replica>>,
    /// The replica that is asked next, modulo their number.
    next: AtomicUsize,
    lag: Arc<LagTracker>,
}

/// Why no replica has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// None is as fresh as asked, or none is there.
    NotFresh,
    /// One that may be is too busy.
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

    /// The answer of a replica that is as fresh as `options` ask, and the answer's greatest
    /// possible age.
    ///
    /// # Errors
    ///
    /// Why there is none.
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
        // 2. What a replica must have replayed.
        let finding = self.watermark(primary, work.operation(), consistency);
        let watermark = within(deadline, finding).await.flatten().ok_or(Absent::NotFresh)?;
        // 3. The answer of one that has.
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

    /// The watermark that a replica must have replayed to answer a read of `consistency`.
    async fn watermark(
        &self,
        primary: &Pool,
        operation: Operation,
        consistency: &Consistency,
    ) -> Option<Watermark> {
        match consistency {
            Consistency::Strong => None,
            Consistency::Session(token) if !token.is_empty() => {
                // A token of other logs may be of this one's past, before a failover.
                Watermark::in_token(token, primary.timeline().log())
            }
            Consistency::Session(_) | Consistency::Eventual => Some(primary.timeline().start()),
            Consistency::Bounded(bound) => self.bounded(primary, operation, *bound).await,
            // A level of a later release of the contract.
            _ => None,
        }
    }

    /// The watermark of a read within `bound`. The primary is asked for a sample where it is time,
    /// and awaited only if the read has no other sample.
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

    /// The answer of the first replica, in turn, that has replayed the log up to `watermark`.
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
                Ok(replayed::Replica::Answered(replayed)) => return Ok(replayed),
                Ok(replayed::Replica::Behind) => {}
                Ok(replayed::Replica::OfAnotherLog) => replica.health.failed(),
                Ok(replayed::Replica::OnEarlierTimeline) => {
                    // It is passed over for a while. Then it may have replayed the record.
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

/// The output of `future`, if it has one before the deadline.
async fn within<F: Future>(deadline: Option<Deadline>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline.instant(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Asks the primary how far it has written its log; `now` is before that.
async fn sample(lag: Arc<LagTracker>, primary: Pool, operation: Operation, now: Instant) {
    let answer = primary.run(CurrentWatermark { operation }, None).await;
    if let Ok((timeline, position)) = answer {
        lag.record(now, timeline, position);
    }
}

/// Has the primary record its timeline. A failure shows as replicas that are passed over.
async fn record_timeline(primary: Pool, operation: Operation) {
    let _ = primary.run(RecordTimeline { operation }, None).await;
}

impl Replica {
    /// Whether a call may ask it. A replica that is down is tried from time to time beside the
    /// calls, because it may take as long as the timeouts to learn that it is silent.
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
