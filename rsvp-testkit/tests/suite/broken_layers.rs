//! Layers that are broken on purpose fail the suite, and by the sentence they break.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::layers::{Shard, ShardedStore};
use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Outcome, ReadOptions, Result, RsvpStore,
    RsvpStoreExt, SessionToken, Write, WriteOptions, async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{Stub, Stubbed, Subject};
use tokio::time::Instant;

/// One way to be broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// A coalescer that gives every caller the outcome of the next.
    AnOutcomeIsLost,
    /// A cache that ignores the writes through it.
    TheCacheIgnoresWrites,
    /// A cache that has one bound for all.
    TheBoundIsIgnored,
    /// A coalescer whose lanes own positions and not events.
    TwoLanesForOnePair,
    /// A sharded store that asks one shard fewer than there are.
    AShardIsLeftOutOfTheCount,
}

/// The sentences by which each is found out.
const SENTENCES: &[(Fault, &[&str])] = &[
    (
        Fault::AnOutcomeIsLost,
        &[
            "rsvp_of_an_absent_pair_is_applied",
            "outcomes_come_in_the_order_of_the_writes",
            "concurrent_callers_each_get_their_own_outcome",
        ],
    ),
    (Fault::TheCacheIgnoresWrites, &["a_write_shows_in_the_next_count"]),
    (
        Fault::TheBoundIsIgnored,
        &[
            "a_bounded_read_sees_writes_older_than_its_bound",
            "a_count_was_true_no_longer_ago_than_its_age",
        ],
    ),
    (
        Fault::TwoLanesForOnePair,
        &["duplicates_in_a_batch_each_have_their_outcome", "random_operations_match_the_model"],
    ),
    (
        Fault::AShardIsLeftOutOfTheCount,
        &["the_count_moves_by_the_applied_outcomes", "concurrent_writers_leave_exact_counts"],
    ),
];

#[derive(Debug)]
struct Broken {
    fault: Fault,
    shards: [Arc<MemoryStore>; 2],
    store: ShardedStore<Arc<MemoryStore>>,
    counted: Mutex<HashMap<EventId, (Instant, u64)>>,
}

impl Broken {
    fn new(fault: Fault, shards: [Arc<MemoryStore>; 2]) -> Self {
        let named = ["a", "b"].into_iter().zip(shards.clone());
        let named = named.map(|(name, store)| Shard::new(name, store));
        let store = ShardedStore::new(named, 2).unwrap();
        Self { fault, shards, store, counted: Mutex::default() }
    }

    fn subject(fault: Fault) -> Subject {
        let shards = [(); 2].map(|()| Arc::new(MemoryStore::new()));
        Subject::from(Stubbed(Self::new(fault, shards.clone())))
            .with_peer(Stubbed(Self::new(fault, shards)))
    }

    /// From memory within `bound`, and honest about the age.
    async fn cached(&self, event: &EventId, bound: Duration) -> Count {
        let kept = self.counted.lock().unwrap().get(event).copied();
        match kept.filter(|(at, _)| at.elapsed() <= bound) {
            Some((at, value)) => Count::aged(value, at.elapsed()),
            None => {
                let at = Instant::now();
                let count = self.store.rsvp_count_with(event, Consistency::Strong).await.unwrap();
                self.counted.lock().unwrap().insert(event.clone(), (at, count.value));
                count
            }
        }
    }
}

#[async_trait]
impl Stub for Broken {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        if self.fault == Fault::TwoLanesForOnePair {
            let lane = |odd: usize| writes.iter().skip(odd).step_by(2).cloned().collect::<Vec<_>>();
            let second = self.store.write_batch(&lane(1), options).await?.outcomes()?;
            let first = self.store.write_batch(&lane(0), options).await?.outcomes()?;
            let (mut first, mut second) = (first.into_iter(), second.into_iter());
            let outcomes = (0..writes.len())
                .map(|at| if at % 2 == 0 { first.next() } else { second.next() }.unwrap());
            return Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()));
        }
        let mut receipt = self.store.write_batch(writes, options).await?;
        if self.fault == Fault::AnOutcomeIsLost && !receipt.results.is_empty() {
            receipt.results.remove(0);
            receipt.results.push(Ok(Outcome::Unchanged.into()));
        }
        Ok(receipt)
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let mut counts = Vec::new();
        let bound = match (self.fault, &options.consistency) {
            (Fault::AShardIsLeftOutOfTheCount, _) => {
                return self.shards[0].rsvp_count_batch(events, options).await;
            }
            (Fault::TheCacheIgnoresWrites, Consistency::Bounded(bound)) => *bound,
            (Fault::TheBoundIsIgnored, Consistency::Bounded(_)) => Duration::from_secs(5),
            _ => return self.store.rsvp_count_batch(events, options).await,
        };
        for event in events {
            counts.push(Ok(self.cached(event, bound).await));
        }
        Ok(counts)
    }
}

/// Whether a layer with `fault` passes the case.
fn passes(fault: Fault, case: &'static str) -> bool {
    // Nothing that fails here is a regression to remember.
    let regressions = concat!(env!("CARGO_TARGET_TMPDIR"), "/expected-failures.txt");
    let make = move || async move { Broken::subject(fault) };
    catch_unwind(AssertUnwindSafe(|| rsvp_testkit::run(case, make, regressions, &[]))).is_ok()
}

#[test]
fn every_broken_layer_fails_by_the_sentence_it_breaks() {
    for (fault, sentences) in SENTENCES {
        for sentence in *sentences {
            assert!(!passes(*fault, sentence), "{fault:?} keeps {sentence}");
        }
    }
}

#[test]
fn the_same_layer_without_a_fault_passes() {
    for case in rsvp_testkit::CASES {
        assert!(passes(Fault::None, case.name), "{}", case.name);
    }
}

#[test]
fn a_cache_is_not_found_out_by_what_it_keeps() {
    for kept in ["a_bounded_read_sees_writes_older_than_its_bound", "a_bound_of_nothing_is_strong"]
    {
        assert!(passes(Fault::TheCacheIgnoresWrites, kept), "{kept}");
    }
}
