//! A store that grows: rates, latencies and bytes at each size.

mod size;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsvp::{EventId, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::size::Size;
use crate::environment::bytes;
use crate::{Failure, Latencies};

/// The entries of a batch that fills the store, and the callers that send them.
const BATCH: u64 = 2_048;
const FILLERS: usize = 4;

/// Single RSVPs add at most this part of the store, so that the next size is still to be filled.
const NEW_SHARE: u64 = 20;

/// The RSVPs of a user, and of an event.
const OF_USER: u64 = 5;
const OF_EVENT: u64 = 100;

/// The bytes of the machine's memory that are free.
#[must_use]
pub fn free_memory() -> Option<u64> {
    bytes("/proc/meminfo", "MemAvailable")
}

/// The measurements at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The RSVPs in the store.
    pub rsvps: u64,
    /// Written pairs a second in batches, while the store grew to this size.
    pub filled_per_second: f64,
    /// Single questions about random pairs.
    pub has_rsvped: Rate,
    /// Single new RSVPs to random events.
    pub rsvp: Rate,
    /// Bytes of each RSVP, if the store tells its size.
    pub bytes_each: Option<f64>,
}

/// The calls of many callers, each of whom waits for the answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    /// Completed calls a second.
    pub per_second: f64,
    /// The median in microseconds.
    pub p50_us: f64,
    /// The 95th percentile in microseconds.
    pub p95_us: f64,
}

/// Grows a store step by step.
#[derive(Debug)]
pub struct Growth {
    store: Arc<dyn RsvpStore>,
    size: Size,
    /// The size of the store before the first RSVP.
    empty: Option<u64>,
    taken: Arc<AtomicU64>,
    callers: usize,
    time: Duration,
}

impl Growth {
    /// Of an empty store at `url`. At each size, `callers` make single calls of each kind for `time`.
    ///
    /// # Errors
    ///
    /// Of the store, and of the file or the server whose size is read.
    pub async fn new(url: &str, callers: usize, time: Duration) -> Result<Self, Failure> {
        let store = rsvp::open(url).await?;
        let size = Size::of(url).await?;
        let empty = size.bytes().await?;
        Ok(Self { store, size, empty, taken: Arc::default(), callers, time })
    }

    /// Fills the store until it has about so many RSVPs, and measures.
    ///
    /// # Errors
    ///
    /// Of the store.
    pub async fn grow(&self, rsvps: u64) -> Result<Step, Failure> {
        // 1. Batches, from callers of their own.
        let (start, before) = (Instant::now(), self.taken.load(Ordering::Relaxed));
        let mut fillers = JoinSet::new();
        for _ in 0..FILLERS {
            let (store, taken) = (Arc::clone(&self.store), Arc::clone(&self.taken));
            fillers.spawn(async move {
                while taken.load(Ordering::Relaxed) < rsvps {
                    let first = taken.fetch_add(BATCH, Ordering::Relaxed);
                    let writes: Vec<_> = (first..first + BATCH).map(write).collect();
                    let receipt = store.write_batch(&writes, &WriteOptions::default()).await?;
                    receipt.outcomes()?;
                }
                Ok::<_, rsvp::Error>(())
            });
        }
        while let Some(filled) = fillers.join_next().await {
            filled??;
        }
        let held = self.taken.load(Ordering::Relaxed);
        let filled_per_second = (held - before) as f64 / start.elapsed().as_secs_f64();
        // 2. The size, before single calls add to it.
        let bytes = self.size.bytes().await?.zip(self.empty);
        let bytes_each = bytes.map(|(now, empty)| now.saturating_sub(empty) as f64 / held as f64);
        // 3. Single calls.
        let has_rsvped = self.callers(held, true).await?;
        let rsvp = self.callers(held, false).await?;
        Ok(Step { rsvps: held, filled_per_second, has_rsvped, rsvp, bytes_each })
    }

    /// Closes the store.
    ///
    /// # Errors
    ///
    /// Of the store.
    pub async fn close(self) -> Result<(), Failure> {
        Ok(self.store.close().await?)
    }

    async fn callers(&self, held: u64, reads: bool) -> Result<Rate, Failure> {
        let start = Instant::now();
        let mut callers = JoinSet::new();
        let next = Arc::new(AtomicU64::new(0));
        for _ in 0..self.callers {
            let (store, next, time) = (Arc::clone(&self.store), Arc::clone(&next), self.time);
            let taken = Arc::clone(&self.taken);
            callers.spawn(async move {
                let mut latencies = Latencies::default();
                while start.elapsed() < time {
                    let begin = Instant::now();
                    if reads {
                        let Rsvp { user, event } =
                            pair(scattered(next.fetch_add(1, Ordering::Relaxed)) % held);
                        store.has_rsvped(&user, &event).await?;
                    } else {
                        let n = taken.fetch_add(1, Ordering::Relaxed);
                        if n > held + held / NEW_SHARE {
                            break;
                        }
                        let Rsvp { user, event } = pair(n);
                        store.rsvp(&user, &event).await?;
                    }
                    latencies.record(begin.elapsed());
                }
                Ok::<_, rsvp::Error>(latencies)
            });
        }
        let mut all = Latencies::default();
        while let Some(latencies) = callers.join_next().await {
            all.add(&latencies??);
        }
        let micros = |share| {
            all.quantile(share).map_or(0.0, |latency: Duration| latency.as_secs_f64() * 1e6)
        };
        let per_second = all.len() as f64 / start.elapsed().as_secs_f64();
        Ok(Rate { per_second, p50_us: micros(0.5), p95_us: micros(0.95) })
    }
}

/// The `n`-th pair: ids of 13 digits, users and events in no order.
fn pair(n: u64) -> Rsvp {
    const FIRST: u64 = 1_000_000_000_000;
    let user = FIRST + scattered(n / OF_USER) % (9 * FIRST);
    // Five events share their users, so that a user is in each of them once.
    let group = scattered(!(n / (OF_USER * OF_EVENT))) % FIRST;
    let event = FIRST + group * 8 + n % OF_USER;
    Rsvp::new(UserId::from(user), EventId::from(event))
}

fn write(n: u64) -> Write {
    let Rsvp { user, event } = pair(n);
    Write::rsvp(user, event)
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): no visible relation between neighbours.
fn scattered(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pairs_are_all_different() {
        let pairs: HashSet<Rsvp> = (0..100_000).map(pair).collect();
        assert_eq!(pairs.len(), 100_000);
        let users: HashSet<&UserId> = pairs.iter().map(|pair| &pair.user).collect();
        assert_eq!(users.len(), 20_000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_grows_and_tells_its_rates() {
        let growth = Growth::new("memory:", 4, Duration::from_millis(50)).await.unwrap();
        let mut last = 0;
        for size in [5_000, 20_000] {
            let step = growth.grow(size).await.unwrap();
            assert!(step.rsvps >= size && step.rsvps > last, "{step:?}");
            assert!(step.has_rsvped.per_second > 0.0 && step.rsvp.p95_us >= step.rsvp.p50_us);
            last = step.rsvps;
        }
        growth.close().await.unwrap();
    }
}
