//! A measurement of the true age of counts, under writers, through two stores on the same data.
//!
//! A count says how old it may be. The measurement compares this age with the writers' history.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use rsvp_core::RsvpStore;
//! use rsvp_core::layers::{CountCache, CountCacheConfig};
//! use rsvp_memory::MemoryStore;
//! use rsvp_testkit::staleness::measure;
//!
//! # #[tokio::main]
//! # async fn main() {
//! let data = Arc::new(MemoryStore::new());
//! // As two processes would have it.
//! let process = || -> Arc<dyn RsvpStore> {
//!     Arc::new(CountCache::new(data.clone(), CountCacheConfig::default()).expect("legal settings"))
//! };
//! let bounds = [5, 20, 100].map(Duration::from_millis);
//! println!("{}", measure([process(), process()], &bounds, 10_000).await);
//! # }
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::{Count, EventId, ReadOptions, RsvpStore, RsvpStoreExt, UserId, Write};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use crate::calls::outcomes_of;

/// The pause between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(1);

/// The number of counts after which a reader compares them with the history.
const CHUNK: usize = 256;

/// The result of [`measure`].
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use rsvp_core::RsvpStore;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::staleness::{Staleness, measure};
///
/// # #[tokio::main]
/// # async fn main() {
/// let store: Arc<dyn RsvpStore> = Arc::new(MemoryStore::new());
/// let bounds = [Duration::from_millis(5)];
/// let Staleness { reads, greatest, .. } = measure([store.clone(), store], &bounds, 100).await;
/// assert!(reads >= 100 && greatest.len() == 1);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Staleness {
    /// The number of counts read.
    pub reads: usize,
    /// The number of batches acknowledged meanwhile.
    pub writes: usize,
    /// The staleness of the oldest answer for each bound: the time between the end of its truth
    /// and the read.
    pub greatest: Vec<(Duration, Duration)>,
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} counts among {} writes, the oldest", self.reads, self.writes)?;
        for (at, (bound, greatest)) in self.greatest.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {greatest:?} within {bound:?}")?;
        }
        Ok(())
    }
}

/// Reads counts through both stores at each of `bounds`, `reads` in total,
/// while a writer through each of them makes RSVPs.
///
/// Each bound has an event of its own, `staleness/0` and so on,
/// so that the reads with a short bound do not refresh the others.
/// It needs a runtime of several threads, and stores without these events.
///
/// Nobody cancels, so the true count only grows.
/// A count is too old if it lacks a write acknowledged longer
/// before the read than the count's own [age](Count::age) or than the bound.
///
/// # Panics
///
/// If a count is too old or higher than the number of writes, or a call fails.
pub async fn measure(
    stores: [Arc<dyn RsvpStore>; 2],
    bounds: &[Duration],
    reads: usize,
) -> Staleness {
    let events: Vec<_> = (0..bounds.len()).map(event).collect();
    let (history, stop) = (Arc::new(History::default()), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for (name, store) in stores.iter().enumerate() {
        let (store, events) = (Arc::clone(store), events.clone());
        let (history, stop) = (Arc::clone(&history), Arc::clone(&stop));
        writers.spawn(async move {
            for n in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // The user is new in each step, so every write raises the true count by one.
                let user = UserId::new(format!("{name}/{n}")).expect("a legal id");
                let rsvp = |event: &EventId| Write::rsvp(user.clone(), event.clone());
                let writes: Vec<_> = events.iter().map(rsvp).collect();
                // The write takes effect at some moment between `begin` and `acknowledge`.
                history.begin();
                outcomes_of(&*store, &writes).await;
                history.acknowledge();
                sleep(PAUSE).await;
            }
        });
    }
    let mut readers = JoinSet::new();
    let count = stores.len() * bounds.len();
    for reader in 0..count {
        let (at, store) = (reader % bounds.len(), Arc::clone(&stores[reader / bounds.len()]));
        let reader = Reader {
            store,
            event: events[at].clone(),
            bound: bounds[at],
            reads: reads / count + usize::from(reader < reads % count),
            history: Arc::clone(&history),
        };
        readers.spawn(async move { (at, reader.run().await) });
    }
    let mut greatest: Vec<_> = bounds.iter().map(|bound| (*bound, Duration::ZERO)).collect();
    while let Some(measured) = readers.join_next().await {
        let (at, staleness) = measured.expect("no count is too old");
        greatest[at].1 = greatest[at].1.max(staleness);
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(written) = writers.join_next().await {
        written.expect("a writer whose writes are acknowledged");
    }
    let writes = history.acknowledged.lock().expect("a history").len();
    Staleness { reads, writes, greatest }
}

fn event(at: usize) -> EventId {
    EventId::new(format!("staleness/{at}")).expect("a legal id")
}

/// The writers' history, the same for every event.
#[derive(Debug, Default)]
struct History {
    begun: AtomicUsize,
    /// The moment by which the first `n + 1` writes had been acknowledged, at place `n`.
    acknowledged: Mutex<Vec<Instant>>,
}

impl History {
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    fn acknowledge(&self) {
        // Take the moment under the lock, so that the moments grow.
        let mut acknowledged = self.acknowledged.lock().expect("a history");
        acknowledged.push(Instant::now());
    }
}

/// A reader at one bound through one store.
struct Reader {
    store: Arc<dyn RsvpStore>,
    event: EventId,
    bound: Duration,
    reads: usize,
    history: Arc<History>,
}

impl Reader {
    /// Returns the staleness of the oldest answer.
    async fn run(self) -> Duration {
        let bounded = ReadOptions::bounded(self.bound);
        let (mut greatest, mut chunk) = (Duration::ZERO, Vec::with_capacity(CHUNK));
        for read in 1..=self.reads {
            let asked = Instant::now();
            let count = self.store.rsvp_count_with(&self.event, bounded.clone()).await;
            chunk.push((asked, count.expect("a count")));
            if chunk.len() == CHUNK || read == self.reads {
                greatest = greatest.max(self.check(&chunk));
                chunk.clear();
                // A store that never waits would keep the thread to itself.
                yield_now().await;
            }
        }
        greatest
    }

    fn check(&self, answers: &[(Instant, Count)]) -> Duration {
        let begun = self.history.begun.load(Ordering::SeqCst);
        let acknowledged = self.history.acknowledged.lock().expect("a history");
        let mut greatest = Duration::ZERO;
        for (asked, count) in answers {
            let value = usize::try_from(count.value).expect("a count of what was written");
            assert!(value <= begun, "{count:?}, when only {begun} writes had begun");
            // At this moment one write more than the count was acknowledged.
            let Some(superseded) = acknowledged.get(value) else { continue };
            let staleness = asked.saturating_duration_since(*superseded);
            assert!(
                staleness <= count.age && count.age <= self.bound,
                "{count:?} had not been true for {staleness:?}, asked for within {:?}",
                self.bound
            );
            greatest = greatest.max(staleness);
        }
        greatest
    }
}
