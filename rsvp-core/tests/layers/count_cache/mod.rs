//! Counts from memory: never older than asked, never wrong, and seldom read.

mod bounds;
mod capacity;
mod control;
mod deadlines;
mod disputed;
mod errors;
mod frozen;
mod hanging;
mod history;
mod inner;
mod learned;
mod own_task;
mod own_writes;
mod races;
mod random;
mod real_clock;
mod removed_user;
mod repeated;
mod sharing;
mod staleness;
mod unsettled;

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::LayerExt;
use rsvp_core::layers::{CountCache, CountCacheConfig};
use rsvp_core::{Consistency, Count, EventId, Result, RsvpStore};
use rsvp_core::{RsvpStoreExt, UserId};

use crate::count_cache::inner::Inner;

type Cache = CountCache<Arc<Inner>>;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn user(name: impl std::fmt::Display) -> UserId {
    UserId::new(name.to_string()).unwrap()
}

fn event(name: impl std::fmt::Display) -> EventId {
    EventId::new(name.to_string()).unwrap()
}

fn bounded(milliseconds: u64) -> Consistency {
    Consistency::Bounded(ms(milliseconds))
}

/// A cache, and the store inside it.
fn cache(config: CountCacheConfig) -> (Arc<Cache>, Arc<Inner>) {
    let inner = Arc::new(Inner::default());
    (Arc::new(inner.clone().with_count_cache(config).unwrap()), inner)
}

async fn count(store: &dyn RsvpStore, event: &EventId, milliseconds: u64) -> Result<Count> {
    store.rsvp_count_with(event, bounded(milliseconds)).await
}

/// The number alone.
async fn number(store: &dyn RsvpStore, event: &EventId, milliseconds: u64) -> u64 {
    count(store, event, milliseconds).await.unwrap().value
}

/// Lets every other task run until it waits. The clock stands.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
