//! The three ways of a read of counts: memory, a refresh, the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CountCache;
use super::caller::{Bounds, Caller, Next};
use super::entry::Entry;
use super::refresh::{Refresh, RefreshEnd, deadline_of_refresh};
use super::refresh_room::RefreshPermit;
use crate::backend::fail_all;
use crate::layers::timeout::{GRACE, before};
use crate::{
    Consistency, Count, Deadline, Effect, Error, EventId, Operation, ReadOptions, Result, RsvpStore,
};

type Counts<'a> = BTreeMap<&'a EventId, Result<Count>>;

type Missing<'a> = BTreeMap<&'a EventId, Arc<Entry>>;

/// A refresh that its caller may begin.
#[derive(Default)]
struct Begun {
    /// Whether its events are read apart from others.
    apart: bool,
    done: CancellationToken,
    entries: Vec<Arc<Entry>>,
    permit: Option<RefreshPermit>,
}

impl<S: RsvpStore + 'static> CountCache<S> {
    /// Returns the counts that a caller at this level accepts from memory.
    /// `None` if it goes to the store.
    pub(super) fn bounds(&self, consistency: &Consistency) -> Option<Bounds> {
        let max_age = self.config.max_age;
        let exact = match consistency {
            Consistency::Strong | Consistency::Session(_) => return None,
            Consistency::Bounded(bound) if bound.is_zero() => return None,
            Consistency::Bounded(bound) => max_age.min(*bound),
            Consistency::Eventual => max_age,
        };
        Some(self.bounds_within(exact))
    }

    fn bounds_within(&self, exact: Duration) -> Bounds {
        Bounds {
            exact,
            ambiguous: exact.min(self.config.short()),
            stale: self.config.stale_if_error,
            not_before: self.table.changed_anywhere(),
        }
    }

    /// Returns counts from memory, and from refreshes for the others.
    pub(super) async fn cached(
        &self,
        events: &[EventId],
        bounds: Bounds,
        deadline: Option<Deadline>,
    ) -> Vec<Result<Count>> {
        // 1. Look all events up in memory.
        let hits: Vec<Option<Count>> =
            events.iter().map(|event| self.table.hit(event, &bounds)).collect();
        if hits.iter().all(Option::is_some) {
            return hits.into_iter().flatten().map(Ok).collect();
        }
        // 2. Refresh the missing counts, each event once.
        let began = Instant::now();
        let caller = Caller { asked: self.table.clock.latest(), bounds };
        let missing = events.iter().zip(&hits).filter(|(_, hit)| hit.is_none());
        let missing: Missing<'_> =
            missing.map(|(event, _)| (event, self.table.get_or_insert(event))).collect();
        let mut counts = Counts::new();
        self.refresh_all(missing.clone(), &caller, deadline, &mut counts).await;
        // 3. A count that is still missing is late. An old count may replace it.
        let late = || Error::timed_out(Operation::RsvpCount, began.elapsed(), Effect::NotApplied);
        let last_resort = |event| {
            let entry = missing.get(event);
            entry.and_then(|entry| entry.last_resort(&bounds)).ok_or_else(late)
        };
        let hits = events.iter().zip(hits);
        hits.map(|(event, hit)| match hit {
            Some(count) => Ok(count),
            None => counts.get(event).cloned().unwrap_or_else(|| last_resort(event)),
        })
        .collect()
    }

    /// Refreshes the missing counts, and waits for them until the deadline.
    async fn refresh_all<'a>(
        &self,
        mut missing: Missing<'a>,
        caller: &Caller,
        deadline: Option<Deadline>,
        counts: &mut Counts<'a>,
    ) {
        // The permit for which the caller has waited, and its kind of refresh.
        let mut room: Option<(bool, RefreshPermit)> = None;
        loop {
            // 1. Ask each entry for the caller's next step: an answer, a refresh to wait for,
            //    or a refresh to begin.
            //    The caller begins at most two refreshes, one for all events together
            //    and one for the events that are read apart. Each needs a permit.
            let late = deadline.is_some_and(Deadline::has_passed);
            let mut begun = [false, true].map(|apart| Begun { apart, ..Begun::default() });
            if !late {
                for refresh in &mut begun {
                    let waited = room.take_if(|(apart, _)| *apart == refresh.apart);
                    let permit = waited.map(|(_, permit)| permit);
                    refresh.permit = permit.or_else(|| self.room.try_enter(refresh.apart));
                }
            }
            let (mut waits, mut lacking) = (Vec::new(), None);
            missing.retain(|event, entry| {
                let may_begin = begun.each_ref().map(|it| it.permit.as_ref().map(|_| &it.done));
                match entry.next(caller, may_begin) {
                    Next::Answer(count) => {
                        counts.insert(event, count);
                        return false;
                    }
                    Next::Wait(refresh) => waits.push(refresh),
                    Next::Refresh { apart } => {
                        let of_kind = begun.iter_mut().filter(|refresh| refresh.apart == apart);
                        of_kind.for_each(|refresh| refresh.entries.push(entry.clone()));
                    }
                    Next::NoRoom { apart } => lacking = Some(apart && lacking.unwrap_or(true)),
                }
                true
            });
            if missing.is_empty() || late {
                return;
            }
            // 2. Begin the refreshes, or wait for room to begin,
            //    or wait for the refreshes of other callers.
            if begun.iter().any(|refresh| !refresh.entries.is_empty()) {
                self.refresh(begun, deadline).await;
                continue;
            }
            // Other callers need the permits meanwhile.
            drop(begun);
            if let Some(apart) = lacking {
                room = self.room.enter(deadline).await.map(|permit| (apart, permit));
            } else {
                for refresh in waits {
                    until(deadline, refresh.cancelled()).await;
                }
            }
        }
    }

    /// Runs the refreshes whose locks the caller has taken, and waits for them.
    /// They run on tasks, or in the caller if there is no runtime.
    async fn refresh(&self, begun: [Begun; 2], deadline: Option<Deadline>) {
        // Create the refreshes here and not in the tasks.
        // A runtime that is shutting down may never poll a task.
        let refreshes = begun.map(|Begun { apart, done, entries, permit }| {
            let permit = permit.filter(|_| !entries.is_empty())?;
            let ends = deadline_of_refresh(deadline, apart);
            let hurried = !apart && deadline.is_some_and(|own| own <= ends);
            let end = RefreshEnd { deadline: ends, hurried };
            let refresh = Refresh::new(self.table.clone(), entries, done.clone(), end, permit);
            Some((done, ends, refresh))
        });
        let runtime = Handle::try_current();
        let mut waits = Vec::new();
        for (done, ends, refresh) in refreshes.into_iter().flatten() {
            let run = refresh.run(self.store.clone());
            match &runtime {
                Ok(runtime) => drop(self.tasks.spawn_on(run, runtime)),
                Err(_) => run.await,
            }
            waits.push((done, ends));
        }
        for (done, ends) in waits {
            // A refresh with the caller's deadline is about to report which entries have failed.
            // Wait for that.
            let last = deadline
                .map(|own| if ends <= own { Deadline::at(own.instant() + GRACE) } else { own });
            until(last, done.cancelled()).await;
        }
    }

    /// Returns counts for a session: from memory if the cached count has the writes of the session,
    /// otherwise from the store.
    pub(super) async fn of_session(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let Consistency::Session(token) = &options.consistency else {
            return self.read_through(events, options).await;
        };
        // An empty token is of writes to a store without log positions.
        if token.is_empty() {
            return self.read_through(events, options).await;
        }
        let bounds = self.bounds_within(self.config.max_age);
        let hit = |event| self.table.get(event)?.hit_of_session(token, &bounds);
        let hits: Vec<Option<Count>> = events.iter().map(hit).collect();
        let missing = events.iter().zip(&hits).filter(|(_, hit)| hit.is_none());
        let missing: Vec<EventId> = missing.map(|(event, _)| event.clone()).collect();
        if missing.is_empty() {
            return Ok(hits.into_iter().flatten().map(Ok).collect());
        }
        // Read the others from the store, and put the answers into the order of the events.
        // A failed read takes no answer from memory away.
        let read = self.read_through(&missing, options).await;
        let mut read = read.unwrap_or_else(|error| fail_all(missing.len(), &error)).into_iter();
        let short = || Err(Error::corrupt(Operation::RsvpCount, "fewer answers than entries"));
        let answer = |hit: Option<Count>| hit.map_or_else(|| read.next().unwrap_or_else(short), Ok);
        Ok(hits.into_iter().map(answer).collect())
    }

    /// Reads counts from the store, at the consistency of the caller.
    ///
    /// The cache learns from them, so that its counts do not go back behind a count
    /// that a caller has seen.
    pub(super) async fn read_through(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let read = self.table.begin_read();
        let counts = self.store.rsvp_count_batch(events, options).await?;
        let ended = self.table.clock.tick();
        let strong = !matches!(options.consistency, Consistency::Session(_));
        for (event, count) in events.iter().zip(&counts) {
            let (Ok(count), Some(entry)) = (count, self.table.get(event)) else { continue };
            // A count without age was exact while it was read, even from a replica.
            if strong || count.age.is_zero() {
                entry.record_read(*count, &read, ended);
            } else {
                entry.doubt(*count, ended);
            }
        }
        Ok(counts)
    }
}

/// Waits until the deadline.
/// Waits without an end if there is no deadline, or no runtime with timers.
pub(super) async fn until<T>(
    deadline: Option<Deadline>,
    call: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => before(deadline.instant(), call).await,
        None => Some(call.await),
    }
}
