//! Layers that are broken on purpose fail the suite, and by the sentence they break.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::layers::{LayerExt, RetryConfig, Shard, ShardedStore};
use rsvp_core::{
    Action, BatchReceipt, Consistency, Count, EventId, Outcome, ReadOptions, Result, Rsvp,
    RsvpStore, RsvpStoreExt, SessionToken, Write, WriteOptions, async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults, Stub, Stubbed, Subject};
use tokio::time::Instant;

use crate::broken_stores::passes;

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
    /// A cache of memberships that knows only the writes through it.
    TheCacheMissesTheWritesOfOthers,
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
    (
        Fault::TheCacheMissesTheWritesOfOthers,
        &[
            "a_strong_read_sees_every_acknowledged_write",
            "a_session_read_sees_the_writes_behind_its_token",
        ],
    ),
];

struct Broken {
    fault: Fault,
    shards: Vec<Arc<dyn RsvpStore>>,
    store: ShardedStore<Arc<dyn RsvpStore>>,
    counted: Mutex<HashMap<EventId, (Instant, u64)>>,
    /// What a cache of memberships has read or written.
    known: Mutex<HashMap<Rsvp, bool>>,
}

impl Broken {
    fn new(fault: Fault, shards: Vec<Arc<dyn RsvpStore>>) -> Self {
        let named = ["a", "b"].into_iter().zip(shards.clone());
        let named = named.map(|(name, store)| Shard::new(name, store));
        let store = ShardedStore::new(named, 2).unwrap();
        Self { fault, shards, store, counted: Mutex::default(), known: Mutex::default() }
    }

    fn subject(fault: Fault) -> Subject {
        let engines = [MemoryStore::new(), MemoryStore::new()];
        Subject::layered_over(engines, |shards| Stubbed(Self::new(fault, shards)))
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

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken").field("store", &self.store).finish_non_exhaustive()
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
        let mut known = self.known.lock().unwrap();
        known.extend(writes.iter().map(|write| (write.rsvp.clone(), write.action == Action::Rsvp)));
        if self.fault == Fault::AnOutcomeIsLost && !receipt.results.is_empty() {
            let after = receipt.results.into_iter().skip(1);
            receipt.results = after.chain([Ok(Outcome::Unchanged.into())]).collect();
        }
        Ok(receipt)
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let mut answers = self.store.has_rsvped_batch(pairs, options).await?;
        if self.fault == Fault::TheCacheMissesTheWritesOfOthers {
            let mut known = self.known.lock().unwrap();
            for (pair, answer) in pairs.iter().zip(answers.iter_mut().flatten()) {
                *answer = *known.entry(pair.clone()).or_insert(*answer);
            }
        }
        Ok(answers)
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

#[test]
fn every_broken_layer_fails_by_the_sentence_it_breaks() {
    for (fault, sentences) in SENTENCES {
        for sentence in *sentences {
            let subject = || Broken::subject(*fault);
            assert!(!passes(sentence, subject), "{fault:?} keeps {sentence}");
        }
    }
}

#[test]
fn the_same_layer_without_a_fault_passes() {
    for case in rsvp_testkit::CASES {
        assert!(passes(case.name, || Broken::subject(Fault::None)), "{}", case.name);
    }
}

#[test]
fn a_cache_is_not_found_out_by_what_it_keeps() {
    for kept in ["a_bounded_read_sees_writes_older_than_its_bound", "a_bound_of_nothing_is_strong"]
    {
        assert!(passes(kept, || Broken::subject(Fault::TheCacheIgnoresWrites)), "{kept}");
    }
}

/// This is why a layer is tested twice on the same data.
#[test]
fn a_cache_without_a_peer_is_not_found_out() {
    let alone = || {
        let shards = [(); 2].map(|()| Arc::new(MemoryStore::new()) as Arc<dyn RsvpStore>);
        let fault = Fault::TheCacheMissesTheWritesOfOthers;
        Subject::from(Stubbed(Broken::new(fault, shards.to_vec())))
    };
    assert!(passes("a_strong_read_sees_every_acknowledged_write", alone));
}

/// A layer that retries, over an engine half of whose writes take effect after they have failed.
fn retrying<S: RsvpStore + 'static>(layer: fn(FaultStore<Arc<dyn RsvpStore>>) -> S) -> Subject {
    Subject::layered(MemoryStore::new(), |store| {
        let longest_pending = Duration::from_millis(120);
        let faults = Faults { late: 0.5, longest_pending, ..Faults::default() };
        layer(FaultStore::new(store, rsvp_testkit::seed()).with_writes(faults))
    })
}

/// Repeats at once what is not settled.
#[derive(Debug)]
struct HastyRetry(FaultStore<Arc<dyn RsvpStore>>);

#[async_trait]
impl Stub for HastyRetry {
    fn inner(&self) -> &dyn RsvpStore {
        &self.0
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        match self.0.write_batch(writes, options).await {
            Err(error) if error.is_retryable() => self.0.write_batch(writes, options).await,
            answer => answer,
        }
    }
}

#[test]
fn a_retry_that_does_not_wait_until_a_write_is_settled_is_found_out() {
    let sentence = "what_a_failed_write_did_not_do_it_never_does";
    assert!(!passes(sentence, || retrying(|store| Stubbed(HastyRetry(store)))));
    let patient = || retrying(|store| store.with_retry(RetryConfig::default()).unwrap());
    assert!(passes(sentence, patient));
    assert!(passes("an_acknowledged_cancel_is_not_undone_by_an_earlier_write", patient));
}
