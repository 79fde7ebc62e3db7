//! A call that writes, in flight.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::cached_count::Written;
use super::clock::{Span, Tick};
use super::entry::Entry;
use super::table::Table;
use super::tally::Tally;
use super::write_fence::Place;
use crate::{Deadline, Error, EventId, Result, Write};

/// The writes of one event in a call.
#[derive(Debug)]
pub(super) struct EventWrites<'a> {
    event: &'a EventId,
    /// The entry at the beginning of the call.
    /// There is none if no caller has read the count.
    entry: Option<Arc<Entry>>,
    place: Place,
    tally: Tally,
}

impl<'a> EventWrites<'a> {
    pub(super) fn new(event: &'a EventId) -> Self {
        Self { event, entry: None, place: Place::Outside, tally: Tally::default() }
    }

    /// Makes the writes of several events, sorted.
    /// All calls have the same order, so no two calls wait for each other.
    pub(super) fn of(events: impl Iterator<Item = &'a EventId>) -> Vec<Self> {
        let mut events: Vec<&EventId> = events.collect();
        events.sort_unstable();
        events.dedup();
        events.into_iter().map(Self::new).collect()
    }

    /// Goes through the fence of the event, or past it if it stays closed for too long.
    async fn enter(&mut self, table: &Table, wait: &mut FenceWait) {
        self.entry = table.get(self.event);
        let Some(entry) = &self.entry else { return };
        self.place = entry.enter();
        // An open fence lets the write in at once.
        let Place::Waiting { opens, .. } = &self.place else { return };
        // Without a runtime there are no timers, so the write does not wait.
        let opened = match Handle::try_current() {
            Ok(_) => timeout_at(wait.end(table), opens.cancelled()).await.is_ok(),
            Err(_) => false,
        };
        if !opened {
            self.leave();
        }
    }

    /// Leaves the fence. No refresh waits for these writes any more.
    fn leave(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Outside);
        if let Some(entry) = &self.entry {
            entry.leave(&place);
        }
    }

    /// Records the outcome of the writes.
    fn end(&self, table: &Table, span: Span) {
        let written = Written { change: self.tally.change(), pending: self.tally.pending, span };
        if let Some(entry) = &self.entry
            && entry.end_write(&self.place, &written)
        {
            return;
        }
        // The entry may have been made, or replaced, meanwhile.
        if (written.change.is_some() || written.pending.is_some())
            && let Some(entry) = table.get(self.event)
        {
            entry.record_write(&written);
        }
    }
}

/// The time for which a call waits for all its fences together.
struct FenceWait {
    deadline: Option<Deadline>,
    /// Set at the first closed fence.
    end: Option<Instant>,
}

impl FenceWait {
    /// Returns the end of the wait: the fence timeout from now on,
    /// or a quarter of the call's remaining time if that is shorter.
    /// So an unreadable count does not make a write late.
    fn end(&mut self, table: &Table) -> Instant {
        *self.end.get_or_insert_with(|| {
            let quarter = self.deadline.map(|deadline| deadline.remaining() / 4);
            let wait = quarter.map_or(table.fence_timeout, |most| table.fence_timeout.min(most));
            Instant::now() + wait
        })
    }
}

/// A call that writes, in flight. Dropping it ends it. An effect unknown by then stays unknown.
///
/// `E` holds the events. It is an array for a single event, so a single write allocates nothing.
#[derive(Debug)]
pub(super) struct Writing<'a, E: AsMut<[EventWrites<'a>]>> {
    table: &'a Table,
    events: E,
    /// The writes of the call. Empty for a step of a removal.
    writes: &'a [Write],
    /// The tick at which the call was sent to the store.
    began: Option<Tick>,
}

impl<'a, E: AsMut<[EventWrites<'a>]>> Writing<'a, E> {
    pub(super) fn new(table: &'a Table, events: E, writes: &'a [Write]) -> Self {
        Self { table, events, writes, began: None }
    }

    /// Goes through the fences, and then waits for the store.
    /// A hanging call leaves the fences, so that it does not delay the refreshes of its counts.
    ///
    /// `unanswered` is the tally of a call without an answer.
    pub(super) async fn run<T>(
        &mut self,
        deadline: Option<Deadline>,
        unanswered: Tally,
        mut call: Pin<Box<dyn Future<Output = T> + Send + '_>>,
    ) -> T {
        // 1. Wait for the refreshes of these counts.
        let mut wait = FenceWait { deadline, end: None };
        for of_event in self.events.as_mut() {
            of_event.enter(self.table, &mut wait).await;
        }
        // 2. Take a tick. From now on the call may take effect.
        self.began = Some(self.table.clock.tick());
        self.events.as_mut().iter_mut().for_each(|of_event| of_event.tally = unanswered);
        // 3. Poll once. A store that answers at once needs no timer.
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return answer;
        }
        // 4. Wait inside of the fences for a while, then outside of them.
        let inside = self.events.as_mut().iter().any(|it| !matches!(it.place, Place::Outside));
        if !inside || Handle::try_current().is_err() {
            return call.await;
        }
        match timeout(self.table.fence_timeout, &mut call).await {
            Ok(answer) => answer,
            Err(_) => {
                self.events.as_mut().iter_mut().for_each(EventWrites::leave);
                call.await
            }
        }
    }

    /// Records the results of the writes.
    pub(super) fn answered(&mut self, results: &[Result<crate::Written>]) {
        if self.writes.len() != results.len() {
            return;
        }
        let events = self.events.as_mut();
        events.iter_mut().for_each(|of_event| of_event.tally = Tally::default());
        for (write, result) in self.writes.iter().zip(results) {
            if let Some(of_event) = find(events, &write.rsvp.event) {
                of_event.tally.add(write.action, result);
            }
        }
    }

    /// Records an acknowledged step of a removal.
    ///
    /// Its number of RSVPs is a lower bound, because a step repeated by an inner store does not
    /// count the RSVPs removed by its first attempt.
    pub(super) fn removed(&mut self) {
        self.events.as_mut().iter_mut().for_each(|it| it.tally = Tally::uncounted());
    }

    /// Records that the whole call has failed.
    pub(super) fn failed(&mut self, error: &Error) {
        let failed = Tally::failed(error);
        self.events.as_mut().iter_mut().for_each(|it| it.tally = failed);
    }

    /// Has the changed counts read again, because the answers may not tell the whole change.
    pub(super) fn make_uncounted(&mut self) {
        self.events.as_mut().iter_mut().for_each(|it| it.tally.make_uncounted());
    }

    /// Tells user removals in flight about the writes.
    ///
    /// A removal that ended meanwhile may have removed an RSVP of these writes.
    /// The count is then read again.
    fn yield_to_removals(&mut self, began: Tick) {
        let removals = &self.table.removals;
        if !removals.any_since(began) {
            return;
        }
        for Write { rsvp, .. } in self.writes {
            if removals.end_write(rsvp, began)
                && let Some(of_event) = find(self.events.as_mut(), &rsvp.event)
            {
                of_event.tally.make_uncounted();
            }
        }
    }
}

/// Returns the writes of an event. The slice is sorted by event.
fn find<'e, 'a>(
    events: &'e mut [EventWrites<'a>],
    event: &EventId,
) -> Option<&'e mut EventWrites<'a>> {
    if let [only] = events {
        return Some(only);
    }
    let at = events.binary_search_by(|of_event| of_event.event.cmp(event)).ok()?;
    events.get_mut(at)
}

impl<'a, E: AsMut<[EventWrites<'a>]>> Drop for Writing<'a, E> {
    fn drop(&mut self) {
        match self.began {
            Some(began) => {
                self.yield_to_removals(began);
                let span = Span { began, ended: self.table.clock.tick() };
                self.events.as_mut().iter().for_each(|of_event| of_event.end(self.table, span));
            }
            // The call was never sent.
            None => self.events.as_mut().iter_mut().for_each(EventWrites::leave),
        }
    }
}
