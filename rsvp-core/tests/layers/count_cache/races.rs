//! Many readers and writers of one event, in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{Action, EventId, RsvpStoreExt, Write};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, cache, event, ms, number, user};
use crate::write_all;

const PERIOD: Duration = Duration::from_millis(100);

/// How many writes of one kind have begun, and how many of them have been acknowledged.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicI64,
    acknowledged: AtomicI64,
}

#[derive(Debug, Default)]
struct Tallies {
    rsvps: Tally,
    cancels: Tally,
    stop: AtomicBool,
}

impl Tallies {
    fn of(&self, action: Action) -> &Tally {
        match action {
            Action::Rsvp => &self.rsvps,
            Action::Cancel => &self.cancels,
        }
    }

    /// A count that is asked for now holds at least so many.
    fn least(&self) -> (i64, i64) {
        (self.rsvps.acknowledged.load(SeqCst), self.cancels.acknowledged.load(SeqCst))
    }

    async fn read(&self, cache: &Cache, event: &EventId, bound: u64) {
        let (rsvps_before, cancels_before) = self.least();
        let counted = number(cache, event, bound).await as i64;
        let least = rsvps_before - self.cancels.begun.load(SeqCst);
        let most = self.rsvps.begun.load(SeqCst) - cancels_before;
        assert!((least..=most).contains(&counted), "{counted} is not within {least}..={most}");
    }

    async fn write(&self, cache: &Cache, writes: &[Write]) {
        for write in writes {
            self.of(write.action).begun.fetch_add(1, SeqCst);
        }
        let outcomes = write_all(cache, writes).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.is_applied()));
        for write in writes {
            self.of(write.action).acknowledged.fetch_add(1, SeqCst);
        }
    }
}

/// Readers at work while `writes` are written by a task each, a batch after another.
async fn race(cache: Arc<Cache>, fair: EventId, writers: Vec<Vec<Vec<Write>>>) {
    let tallies = Arc::new(Tallies::default());
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let (cache, fair, tallies) = (cache.clone(), fair.clone(), tallies.clone());
        readers.spawn(async move {
            while !tallies.stop.load(SeqCst) {
                for _ in 0..50 {
                    tallies.read(&cache, &fair, 5000).await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let mut writing = JoinSet::new();
    for batches in writers {
        let (cache, fair, tallies) = (cache.clone(), fair.clone(), tallies.clone());
        writing.spawn(async move {
            for batch in batches {
                tallies.write(&cache, &batch).await;
                tallies.read(&cache, &fair, 5000).await;
            }
        });
    }
    writing.join_all().await;
    tallies.stop.store(true, SeqCst);
    readers.join_all().await;
    let expected = tallies.least().0 - tallies.least().1;
    assert_eq!(number(&*cache, &fair, 5000).await as i64, expected);
}

fn slow_cache() -> (Arc<Cache>, Arc<Inner>) {
    let (cache, inner) = cache(CountCacheConfig::default().with_max_age(PERIOD));
    inner.reads.takes_about(ms(2));
    inner.writes.takes_about(ms(2));
    (cache, inner)
}

/// One read a period, and some more where a busy machine lets the two lose patience.
fn assert_few(inner: &Inner, began: Instant) {
    let periods = began.elapsed().as_millis() / PERIOD.as_millis() + 1;
    println!("{} reads in {periods} periods", inner.reads());
    assert!(inner.reads() as u128 <= 2 * periods + 3, "{} in {periods} periods", inner.reads());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_count_has_what_was_acknowledged_before_and_nothing_that_began_after() {
    let (cache, inner) = slow_cache();
    let (began, fair) = (Instant::now(), event("fair"));
    let writer = |name| {
        let write = |n| vec![Write::rsvp(user(format!("{name}/{n}")), event("fair"))];
        (0..150).map(write).collect()
    };
    race(cache, fair, (0..16).map(writer).collect()).await;
    assert_few(&inner, began);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancels_and_batches_over_several_events_keep_to_it_as_well() {
    let (cache, inner) = slow_cache();
    let (began, fair) = (Instant::now(), event("fair"));
    let mut writers = Vec::new();
    for name in 0..16 {
        let pair = |n: i32| (user(format!("{name}/{n}")), event("fair"));
        let (mut batches, rsvp, cancel) = (Vec::new(), Write::rsvp, Write::cancel);
        for n in 0..50 {
            let ((a, fair), (b, _)) = (pair(2 * n), pair(2 * n + 1));
            batches.push(vec![rsvp(a.clone(), fair.clone()), rsvp(b.clone(), fair.clone())]);
            // Takes part of it back, twice over.
            let (again, back) = (rsvp(a.clone(), fair.clone()), cancel(a, fair.clone()));
            batches.push(vec![back.clone(), again, back, cancel(b, fair)]);
        }
        writers.push(batches);
    }
    race(cache, fair, writers).await;
    assert_few(&inner, began);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_written_to_all_the_time_is_read_once_in_a_period() {
    let (cache, inner) = slow_cache();
    let fair = event("fair");
    // Readers and writers know of each other only where the event is known.
    number(&*cache, &fair, 5000).await;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..50_u64 {
        let (cache, fair) = (cache.clone(), fair.clone());
        tasks.spawn(async move {
            for n in 0..200 {
                cache.rsvp(&user(task * 1000 + n), &fair).await.unwrap();
                number(&*cache, &fair, 5000).await;
            }
        });
    }
    tasks.join_all().await;
    let periods = began.elapsed().as_millis() / PERIOD.as_millis() + 1;
    assert!(inner.reads() as u128 <= periods, "{} in {periods} periods", inner.reads());
    assert_eq!(number(&*cache, &fair, 5000).await, 50 * 200);
}
