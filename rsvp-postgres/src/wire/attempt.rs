//! One attempt of a call on one connection, and its outcome.

use std::pin::pin;
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::future::{Either, join, select};
use rsvp_core::{Effect, Error};
use sqlx::Connection as _;
use tokio::time::{Instant, timeout_at};

use super::backend_process::Backend;
use super::bulkheads::Place;
use super::call_schedule::Schedule;
use super::caller_presence::Caller;
use super::connection::Connection;
use super::connector::Connector;
use super::failure::{Failure, WorkError, commits, failure, is_outdated};
use super::pool::Pool;
use super::unsettled_attempts::Attempt;
use super::work::Work;
use crate::sql::Statements;

/// The longest time between two renewals of the clock and the plans of a connection that writes.
const RENEWAL: Duration = Duration::from_secs(60);

/// A failed attempt of a call.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Another connection may serve the call at once.
    pub(super) elsewhere: bool,
}

impl Pool {
    /// Runs a work on a connection within its schedule, and decides its outcome.
    /// No other function sees all three.
    pub(super) async fn attempt<W: Work>(
        &self,
        mut connection: Object<Connector>,
        caller: &Caller,
        place: Option<&Place>,
        work: &W,
        schedule: &Schedule,
    ) -> Result<W::Answer, Failed> {
        let operation = work.operation();
        connection.begin(schedule.cancel_at, self.limits.lock_timeout);

        // 1. The answer of the server is final. A failure of the connection concerns all
        //    connections to the same server. Without an answer, only this connection is closed,
        //    and the others are tested before their next use.
        let (answer, canceled) = self.answer(&mut connection, caller, work, schedule).await;
        let Failure { error, evicts: closes, elsewhere, read_only } = match answer {
            // A commit canceled during its wait for a synchronous standby succeeds. The standby may
            // lack the change, but the driver does not pass on the server's warning.
            Some(Ok(_)) if canceled && commits(operation) => {
                self.bulkheads.committed(false);
                let error = Error::timed_out(operation, schedule.elapsed(), Effect::Unknown);
                Failure::of_call(error)
            }
            // A read-only server may have been replaced.
            Some(Ok(_))
                if connection.read_only
                    && self.is_replaced(connection.generation, schedule.end()).await =>
            {
                let error = Error::unavailable(operation, Effect::NotApplied, None);
                Failure { elsewhere: true, ..Failure::of_call(error) }
            }
            Some(Ok(answer)) => {
                if commits(operation) {
                    self.bulkheads.committed(true);
                }
                connection.in_use = false;
                return Ok(answer);
            }
            Some(Err(error)) => {
                if matches!(error, WorkError::TooLate) {
                    // The clock of the server may have been set, for all connections.
                    self.pool.manager().suspect();
                }
                let failure = failure(operation, error, schedule.elapsed());
                if failure.evicts {
                    self.give_up_all();
                }
                failure
            }
            None => {
                self.pool.manager().suspect();
                let error = Error::timed_out(operation, schedule.elapsed(), Effect::NotApplied);
                Failure { evicts: true, ..Failure::of_call(error) }
            }
        };

        // 2. The effect. A change without an answer is stopped before the caller gets the error.
        let Connection { applied, changed, unanswered, timeline, generation, .. } = *connection;
        let begun_by = connection.clock().at(Instant::now());
        let backend = connection.running_on.get();
        let backend = backend.map(|backend| Backend { begun_by, ..backend });
        if closes {
            drop(Object::take(connection));
        } else {
            connection.in_use = false;
        }
        let effect = if closes
            && unanswered
            && let Some(backend) = backend
        {
            let (write_set, place) = (work.write_set(), place.cloned());
            let attempt = Attempt::new(backend, timeline, write_set, place, schedule.over());
            self.control.settle(attempt, schedule.fence_until()).await
        } else if applied {
            // The rollback of the last statement does not undo the ones before it.
            Effect::Unknown
        } else if changed {
            error.effect()
        } else {
            // No change was sent.
            Effect::NotApplied
        };
        // 3. Another connection may serve the call, if nothing has happened on this one.
        let replaced = read_only && self.is_replaced(generation, schedule.end()).await;
        let lost_early = closes && !changed;
        let elsewhere = (elsewhere || lost_early || replaced) && effect == Effect::NotApplied;
        Err(Failed { error: error.with_effect(effect), elsewhere })
    }

    /// Returns the answer of the server, if it gives one in time.
    /// Tells whether the server was asked to cancel, too.
    async fn answer<W: Work>(
        &self,
        connection: &mut Connection,
        caller: &Caller,
        work: &W,
        schedule: &Schedule,
    ) -> (Option<Result<W::Answer, WorkError>>, bool) {
        let (running_on, timeline) = (connection.running_on.clone(), connection.timeline);
        let begun_by = connection.clock().at(schedule.give_up_at);
        let (answer, asked) = {
            let mut running = pin!(run_in_time(work, connection, &self.sql));
            // 1. Most calls are answered soon. A slow one has the control connection opened early.
            for (until, is_slow) in [(schedule.slow_at, true), (schedule.cancel_at, false)] {
                let patience = pin!(caller.patience(until));
                if let Either::Left((answer, _)) = select(&mut running, patience).await {
                    return (Some(answer), false);
                }
                if is_slow {
                    self.control.prepare();
                }
            }
            // 2. The server is asked to cancel. It answers that it did, or that the work was done.
            let canceling = async {
                match running_on.get() {
                    Some(backend) => {
                        let backend = Backend { begun_by, ..backend };
                        self.control.cancel(backend, timeline, schedule.give_up_at).await
                    }
                    None => true,
                }
            };
            let answer = timeout_at(schedule.give_up_at, running);
            join(answer, canceling).await
        };
        // 3. A request still on its way would cancel the statement of another call.
        connection.stale |= !asked;
        (answer.ok(), true)
    }
}

/// Runs a work, and once more if the server refuses it before any effect.
///
/// - If the work is in time here but too late on the server, the server's clock was set.
///   It is read again.
/// - If a prepared statement is out of date, all statements are prepared again.
async fn run_in_time<W: Work>(
    work: &W,
    connection: &mut Connection,
    sql: &Statements,
) -> Result<W::Answer, WorkError> {
    if commits(work.operation()) && connection.clock().age() > RENEWAL {
        connection.renew().await?;
    }
    match work.perform(connection, sql).await {
        Err(WorkError::TooLate) if !connection.applied && connection.may_begin() => {
            connection.renew().await?;
        }
        Err(error) if !connection.applied && is_outdated(&error) => {
            connection.pg.clear_cached_statements().await?;
        }
        answer => return answer,
    }
    work.perform(connection, sql).await
}
