//! Stores that answer late what they know, or forget it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rsvp::{EventId, Outcome, Rsvp, UserId, Write};
use rsvp_load::{Answer, Load, Measured, Plan, Scenario, StoreTarget, Target};
use tokio::time::Instant;

/// A store with counts of some time ago, and memberships that are all denied if it forgets them.
#[derive(Debug)]
struct Behind {
    store: StoreTarget,
    age: Duration,
    forgets: bool,
    /// The counts of each event that was written, the first of which is that before all writes.
    counts: Mutex<HashMap<EventId, Vec<(Instant, u64)>>>,
}

#[async_trait]
impl Target for Behind {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let event = &write.rsvp.event;
        let before = (Instant::now(), self.store.rsvp_count(event).await?);
        let outcome = self.store.write(write).await?;
        let after = (Instant::now(), self.store.rsvp_count(event).await?);
        let mut counts = self.counts.lock().unwrap();
        counts.entry(event.clone()).or_insert_with(|| vec![before]).push(after);
        Ok(outcome)
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        Ok(self.store.has_rsvped(pair).await? && !self.forgets)
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        let now = self.store.rsvp_count(event).await?;
        let counts = self.counts.lock().unwrap();
        let Some(counts) = counts.get(event) else { return Ok(now) };
        let old = counts.iter().rev().find(|(time, _)| time.elapsed() >= self.age);
        Ok(old.unwrap_or(&counts[0]).1)
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        self.store.attendees(event).await
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        self.store.events_of(user).await
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        self.store.fill(pairs).await
    }

    async fn clear(&self, events: &[EventId], users: &[UserId]) -> Answer<()> {
        self.store.clear(events, users).await
    }
}

async fn run(age: Duration, forgets: bool) -> Measured {
    let store = StoreTarget::new(rsvp::open("memory:").await.unwrap());
    let target = Behind { store, age, forgets, counts: Mutex::default() };
    // New RSVPs on one event in its middle, so that no two of its counts are equal.
    let plan = Plan::new(Scenario::TicketDrop, Duration::from_secs(3)).with_rate(Some(40.0));
    Load::new(Arc::new(target), plan).run().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_of_half_a_second_ago_is_found_to_be_that_old() {
    let measured = run(Duration::from_millis(500), false).await;
    let staleness = measured.max_count_staleness.as_millis();
    assert!((400..900).contains(&staleness), "{staleness} ms");
    assert_eq!(measured.read_your_writes_misses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgets_acknowledged_writes_is_found_out() {
    let measured = run(Duration::ZERO, true).await;
    assert!(measured.read_your_writes_misses > 0);
    let staleness = measured.max_count_staleness.as_millis();
    assert!(staleness < 100, "its counts are right: {staleness} ms");
}
