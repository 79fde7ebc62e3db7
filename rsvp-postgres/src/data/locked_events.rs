//! The events locked by other sessions of the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsvp_core::{EventId, Operation, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::wire::failure::{locked, waited_for_lock};

/// An event counts as locked for this time after a write of it has waited in vain.
const TRUSTED: Duration = Duration::from_secs(10);

/// The most events that are remembered.
const MOST: usize = 1024;

/// The events locked by other sessions.
///
/// An event counts as locked when a write has waited for it in vain, until another one succeeds.
/// Meanwhile its writes run one at a time, each in its own statement.
/// They hold back no other event, and use one connection.
#[derive(Debug, Default)]
pub(crate) struct LockedEvents(Mutex<HashMap<EventId, Locked>>);

#[derive(Debug)]
struct Locked {
    since: Instant,
    /// Has one permit, for the write whose turn it is.
    turn: Arc<Semaphore>,
}

impl LockedEvents {
    /// Waits for the turn of a write of `event`. `None` if the event is not locked.
    /// The turn lasts until it is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`](rsvp_core::Error::TimedOut) if the write has no turn within `longest`.
    pub(crate) async fn turn(
        &self,
        event: &EventId,
        longest: Duration,
    ) -> Result<Option<OwnedSemaphorePermit>> {
        let Some(turns) = self.turns(event) else { return Ok(None) };
        let turn = timeout(longest, turns.acquire_owned()).await;
        turn.map(Result::ok).map_err(|_| locked(Operation::Write, longest))
    }

    /// Records the answer to a write of `event` that had this turn.
    pub(crate) fn hear<A>(
        &self,
        event: &EventId,
        turn: Option<&OwnedSemaphorePermit>,
        answer: &Result<A>,
    ) {
        match answer {
            Err(error) if waited_for_lock(error) => self.add(event),
            Ok(_) if turn.is_some() => drop(self.events().remove(event)),
            _ => {}
        }
    }

    fn turns(&self, event: &EventId) -> Option<Arc<Semaphore>> {
        let events = self.events();
        let locked = events.get(event).filter(|locked| locked.since.elapsed() < TRUSTED)?;
        Some(locked.turn.clone())
    }

    /// Returns those of some events that are locked, in their order.
    pub(crate) fn among<'a>(&self, events: impl Iterator<Item = &'a EventId>) -> Vec<EventId> {
        let locked = self.events();
        if locked.is_empty() {
            return Vec::new();
        }
        let is_locked = |event: &EventId| {
            locked.get(event).is_some_and(|locked| locked.since.elapsed() < TRUSTED)
        };
        let mut among: Vec<_> = events.filter(|event| is_locked(event)).cloned().collect();
        among.dedup();
        among
    }

    /// Records that a write of `event` has waited in vain.
    pub(crate) fn add(&self, event: &EventId) {
        let mut events = self.events();
        let now = Instant::now();
        // A full table forgets old entries. If none is old, the event is not remembered, and its
        // writes wait for the lock as any others.
        if events.len() >= MOST {
            events.retain(|_, locked| locked.since.elapsed() < TRUSTED);
        }
        if let Some(locked) = events.get_mut(event) {
            locked.since = now;
        } else if events.len() < MOST {
            let turn = Arc::new(Semaphore::new(1));
            events.insert(event.clone(), Locked { since: now, turn });
        }
    }

    fn events(&self) -> MutexGuard<'_, HashMap<EventId, Locked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_event_is_locked_until_a_write_succeeds_or_nobody_has_tried_for_long() {
        let (fair, ball) = (EventId::from(1), EventId::from(2));
        let locked = LockedEvents::default();
        locked.add(&fair);
        locked.add(&ball);
        let both = [&fair, &fair, &ball];
        assert_eq!(locked.among(both.into_iter()), [fair.clone(), ball.clone()]);
        let second = Duration::from_secs(1);
        let turn = locked.turn(&ball, second).await.unwrap();
        assert!(turn.is_some());
        assert!(waited_for_lock(&locked.turn(&ball, second).await.unwrap_err()), "one at a time");
        locked.hear(&ball, turn.as_ref(), &Ok(()));
        assert!(locked.turn(&ball, second).await.unwrap().is_none());
        assert!(locked.turn(&fair, second).await.unwrap().is_some());
        tokio::time::advance(TRUSTED).await;
        assert!(locked.turn(&fair, second).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_events_are_bounded() {
        let locked = LockedEvents::default();
        for event in (0..2 * MOST as u64).map(EventId::from) {
            locked.add(&event);
        }
        assert_eq!(locked.events().len(), MOST);
        tokio::time::advance(TRUSTED).await;
        locked.add(&EventId::from(0));
        assert_eq!(locked.events().len(), 1);
    }
}
