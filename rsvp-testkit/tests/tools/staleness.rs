//! The measurement passes on stores that keep to the bound, and on no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::layers::{CountCacheConfig, LayerExt};
use rsvp_core::{Count, EventId, ReadOptions, Result, RsvpStore, async_trait};
use rsvp_memory::MemoryStore;
use rsvp_testkit::staleness::{Staleness, measure};
use rsvp_testkit::{Stub, Stubbed};
use tokio::time::Instant;

/// Reads the first event's count again after so long only, and says what age it likes.
#[derive(Debug)]
struct Liar {
    store: Arc<MemoryStore>,
    reads_after: Duration,
    claims: Option<Duration>,
    adds: u64,
    kept: Mutex<Option<(Instant, u64)>>,
}

#[async_trait]
impl Stub for Liar {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        _: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let mut kept = self.kept.lock().unwrap();
        let (at, value) = match *kept {
            Some((at, value)) if at.elapsed() <= self.reads_after => (at, value),
            _ => (Instant::now(), self.store.table().rsvp_count(&events[0]) + self.adds),
        };
        *kept = Some((at, value));
        Ok(vec![Ok(Count::aged(value, self.claims.unwrap_or_else(|| at.elapsed())))])
    }
}

/// What is measured of a store within 20 ms.
async fn measured(reads_after: u64, claims: Option<u64>, adds: u64) -> Staleness {
    let store = Arc::new(MemoryStore::new());
    let reads_after = Duration::from_millis(reads_after);
    let claims = claims.map(Duration::from_millis);
    let process = || -> Arc<dyn RsvpStore> {
        let (store, kept) = (store.clone(), Mutex::default());
        Arc::new(Stubbed(Liar { store, reads_after, claims, adds, kept }))
    };
    measure([process(), process()], &[Duration::from_millis(20)], 300_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_within_the_bound_pass_and_are_measured() {
    let store = Arc::new(MemoryStore::new());
    let process = || -> Arc<dyn RsvpStore> {
        Arc::new(store.clone().with_count_cache(CountCacheConfig::default()).unwrap())
    };
    let bounds = [0, 5, 50].map(Duration::from_millis);
    let measured = measure([process(), process()], &bounds, 300_001).await;
    println!("{measured}");
    assert_eq!(measured.reads, 300_001);
    assert!(measured.writes > 0);
    assert_eq!(measured.greatest[0], (bounds[0], bounds[0]), "a bound of nothing is strong");
    let (_, oldest) = measured.greatest[2];
    assert!((bounds[1]..=bounds[2]).contains(&oldest), "{oldest:?} among counts of up to 50 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic(expected = "no count is too old")]
async fn counts_beyond_the_bound_fail() {
    measured(40, None, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic(expected = "no count is too old")]
async fn counts_that_are_older_than_they_say_fail() {
    measured(15, Some(1), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[should_panic(expected = "no count is too old")]
async fn counts_of_what_was_never_written_fail() {
    measured(1, None, 1_000_000).await;
}
