//! How old counts really are, measured while they change.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{Consistency, EventId, RsvpStore, RsvpStoreExt, UserId};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Readers of each store.
const READERS: u64 = 4;

/// What was found out about the counts of two stores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Staleness {
    /// How many counts were read.
    pub reads: u64,
    /// How many RSVPs were made meanwhile.
    pub writes: u64,
    /// The oldest answer: how long before it was asked for its number had been replaced.
    pub oldest: Duration,
    /// The most of its bound that any answer was old, in parts of the bound.
    pub worst: f64,
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, writes, oldest, worst } = self;
        let percent = 100.0 * worst;
        write!(f, "{reads} reads among {writes} writes: the oldest count was {oldest:?} old, ")?;
        write!(f, "none more than {percent:.0} % of its bound")
    }
}

/// The moments at which the writes were acknowledged, in order.
#[derive(Debug, Default)]
struct History {
    acknowledged: RwLock<Vec<Instant>>,
    begun: AtomicU64,
}

impl History {
    fn acknowledge(&self) {
        let mut moments = self.acknowledged.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the moments are in order.
        moments.push(Instant::now());
    }

    /// How long before `asked` the number `value` was replaced by a greater one, if it was.
    fn staleness(&self, value: u64, asked: Instant) -> Duration {
        let acknowledged = self.acknowledged.read().unwrap_or_else(PoisonError::into_inner);
        let replaced = usize::try_from(value).ok().and_then(|value| acknowledged.get(value));
        replaced.map_or(Duration::ZERO, |replaced| asked.saturating_duration_since(*replaced))
    }
}

/// Makes RSVPs through two stores on the same data while their counts of one event are read, at
/// each of `bounds` in turn by chance, `reads` times in all; and measures how old the answers are.
///
/// Run it on a runtime of several threads. The users and the event are new ones.
///
/// # Panics
///
/// If a call fails, or a count is older than its bound or than it says, or was never true.
pub async fn measure(
    stores: [Arc<dyn RsvpStore>; 2],
    bounds: &[Duration],
    reads: u64,
    seed: u64,
) -> Staleness {
    let event = EventId::new(format!("staleness {seed:x}")).expect("a legal id");
    let history = Arc::new(History::default());
    let mut writers = JoinSet::new();
    let mut readers = JoinSet::new();
    for (number, store) in (0_u64..).zip(stores) {
        let random = |salt: u64| StdRng::seed_from_u64(seed ^ (number << 32) ^ salt);
        writers.spawn(write(store.clone(), event.clone(), history.clone(), number, random(0)));
        for reader in 1..=READERS {
            let share = reads.div_ceil(2 * READERS);
            let (store, event, history) = (store.clone(), event.clone(), history.clone());
            readers.spawn(read(store, event, history, bounds.to_vec(), share, random(reader)));
        }
    }
    let mut all = Staleness::default();
    for found in readers.join_all().await {
        all.reads += found.reads;
        all.oldest = all.oldest.max(found.oldest);
        all.worst = all.worst.max(found.worst);
    }
    writers.shutdown().await;
    all.writes = history.begun.load(Ordering::SeqCst);
    all
}

/// New users, one after another, until it is stopped.
async fn write(
    store: Arc<dyn RsvpStore>,
    event: EventId,
    history: Arc<History>,
    number: u64,
    mut random: StdRng,
) {
    for user in 0_u64.. {
        let user = UserId::new(format!("{number} {user}")).expect("a legal id");
        history.begun.fetch_add(1, Ordering::SeqCst);
        let receipt = store.rsvp(&user, &event).await.expect("an RSVP");
        assert!(receipt.outcome.is_applied(), "{user:?} is new");
        history.acknowledge();
        sleep(Duration::from_micros(random.random_range(0..3000))).await;
    }
}

async fn read(
    store: Arc<dyn RsvpStore>,
    event: EventId,
    history: Arc<History>,
    bounds: Vec<Duration>,
    reads: u64,
    mut random: StdRng,
) -> Staleness {
    let mut found = Staleness { reads, ..Staleness::default() };
    for n in 0..reads {
        let bound = bounds[random.random_range(0..bounds.len())];
        let asked = Instant::now();
        let count = store.rsvp_count_with(&event, &Consistency::Bounded(bound)).await;
        let count = count.expect("a count");
        let staleness = history.staleness(count.value, asked);
        assert!(count.age <= bound, "{count:?} is older than {bound:?} by what it says");
        assert!(staleness <= bound, "{count:?} is {staleness:?} old, more than {bound:?}");
        assert!(staleness <= count.age, "{count:?} is {staleness:?} old, more than it says");
        let begun = history.begun.load(Ordering::SeqCst);
        assert!(count.value <= begun, "{count:?} was never true: {begun} were begun");
        found.oldest = found.oldest.max(staleness);
        found.worst = found.worst.max(staleness.as_secs_f64() / bound.as_secs_f64());
        if n % 64 == 0 {
            // Answers from memory never wait, and others want to run, too.
            tokio::task::yield_now().await;
        }
    }
    found
}
