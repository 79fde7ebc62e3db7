//! A call that writes, while it is on its way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::cached::Written;
use super::clock::{Span, Tick};
use super::entry::Entry;
use super::fence::Place;
use super::table::Table;
use super::tally::Tally;
use crate::{Deadline, Error, EventId, Result, Write};

/// The writes of one event in a call.
#[derive(Debug)]
pub(super) struct EventWrites<'a> {
    event: &'a EventId,
    /// The entry at the beginning. There is none if nobody has asked for the count.
    entry: Option<Arc<Entry>>,
    place: Place,
    tally: Tally,
}

impl<'a> EventWrites<'a> {
    pub(super) fn new(event: &'a EventId) -> Self {
        Self { event, entry: None, place: Place::Outside, tally: Tally::default() }
    }

    /// Those of several events, in one order for all calls, so that no two wait for each other.
    pub(super) fn of(events: impl Iterator<Item = &'a EventId>) -> Vec<Self> {
        let mut events: Vec<&EventId> = events.collect();
        events.sort_unstable();
        events.dedup();
        events.into_iter().map(Self::new).collect()
    }

    /// Goes through the fence of the event, or past it if it stays closed until this moment.
    async fn enter(&mut self, table: &Table, deadline: Option<Deadline>) {
        self.entry = table.get(self.event);
        let Some(entry) = &self.entry else { return };
        self.place = entry.enter();
        let Place::Waiting { opens, .. } = &self.place else { return };
        let fenced_by = Deadline::earliest(deadline, Some(Deadline::after(table.fence_timeout)));
        let fenced_by = fenced_by.map_or_else(Instant::now, Deadline::instant);
        let opened = match Handle::try_current() {
            Ok(_) => timeout_at(fenced_by, opens.cancelled()).await.is_ok(),
            Err(_) => false,
        };
        if !opened {
            self.leave();
        }
    }

    /// From now on no refresh waits for it.
    fn leave(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Outside);
        if let Some(entry) = &self.entry {
            entry.leave(&place);
        }
    }

    /// Records what has become of it.
    fn end(&self, table: &Table, span: Span) {
        let written = Written { change: self.tally.change(), pending: self.tally.pending, span };
        if let Some(entry) = &self.entry
            && entry.end_write(&self.place, &written)
        {
            return;
        }
        // The entry may have been made, or made anew, meanwhile.
        if (written.change.is_some() || written.pending.is_some())
            && let Some(entry) = table.get(self.event)
        {
            entry.record_write(&written);
        }
    }
}

/// A call that writes, and is on its way. Once dropped it is over, and an effect that is not known by
/// then never will be.
///
/// `E` holds the events: an array for one, so that a single write allocates nothing.
#[derive(Debug)]
pub(super) struct Writing<'a, E: AsMut<[EventWrites<'a>]>> {
    table: &'a Table,
    events: E,
    /// Those of the call, none if it is a step of a removal.
    writes: &'a [Write],
    /// When it was sent to the store.
    began: Option<Tick>,
}

impl<'a, E: AsMut<[EventWrites<'a>]>> Writing<'a, E> {
    pub(super) fn new(table: &'a Table, events: E, writes: &'a [Write]) -> Self {
        Self { table, events, writes, began: None }
    }

    /// Goes through the fences, and then waits for the store. A call that hangs leaves the fences,
    /// so that it does not hold up the refreshes of its counts.
    ///
    /// `unanswered` is the tally of a call without an answer.
    pub(super) async fn run<T>(
        &mut self,
        deadline: Option<Deadline>,
        unanswered: Tally,
        mut call: Pin<Box<dyn Future<Output = T> + Send + '_>>,
    ) -> T {
        // 1. Wait for the refreshes of these counts.
        for of_event in self.events.as_mut() {
            of_event.enter(self.table, deadline).await;
        }
        // 2. From now on it may take effect.
        self.began = Some(self.table.clock.tick());
        self.events.as_mut().iter_mut().for_each(|of_event| of_event.tally = unanswered);
        // 3. A store that answers at once needs no timer.
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

    /// Records an acknowledged step of a removal. The number of RSVPs that it names is the least: a
    /// step that a store inside has repeated does not count those that its first attempt removed.
    pub(super) fn removed(&mut self) {
        self.events.as_mut().iter_mut().for_each(|it| it.tally = Tally::uncounted());
    }

    /// Records that the whole call has failed.
    pub(super) fn failed(&mut self, error: &Error) {
        let failed = Tally::failed(error);
        self.events.as_mut().iter_mut().for_each(|it| it.tally = failed);
    }

    /// Has the counts read again whose change, if there is one, nobody told in full.
    pub(super) fn make_uncounted(&mut self) {
        self.events.as_mut().iter_mut().for_each(|it| it.tally.make_uncounted());
    }

    /// Tells removals of these users under way of the writes. Writes that one of them may have
    /// removed, which was over meanwhile, have their counts read again.
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

/// The writes of an event, in the order of the events.
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
            // It was never sent.
            None => self.events.as_mut().iter_mut().for_each(EventWrites::leave),
        }
    }
}
