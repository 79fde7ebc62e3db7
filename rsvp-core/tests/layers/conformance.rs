//! Every layer keeps the contract over the memory store, with a peer: another layer on the
//! same data, as another process would have it. The suite stops the memory store, makes it refuse
//! entries, and closes one of the two layers.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::RsvpStore;
use rsvp_core::layers::{
    CoalesceConfig, CountCacheConfig, LayerExt, Layers, LimitConfig, RetryConfig, Shard,
    ShardedStore, TimeoutConfig,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::Subject;

/// Two layers around one memory store.
fn layered<W: RsvpStore + 'static>(wrap: impl Fn(Arc<dyn RsvpStore>) -> W) -> Subject {
    Subject::layered(MemoryStore::new(), wrap)
}

/// The suite itself, over two handles of one memory store.
mod bare {
    rsvp_testkit::conformance!(super::layered(|store| store));
}

mod coalesced {
    use super::*;

    rsvp_testkit::conformance!(super::layered(|store| store
        .with_coalescing(CoalesceConfig::default())
        .unwrap()));
}

/// One lane, batches of at most three entries, so that everything has to queue.
mod coalesced_narrowly {
    use super::*;

    fn narrow() -> CoalesceConfig {
        let config = CoalesceConfig::default().with_lanes(1);
        config.with_concurrent_reads(1).with_max_batch(3)
    }

    rsvp_testkit::conformance!(super::layered(|store| store.with_coalescing(narrow()).unwrap()));
}

mod count_cached {
    use super::*;

    rsvp_testkit::conformance!(super::layered(|store| store
        .with_count_cache(CountCacheConfig::default())
        .unwrap()));
}

/// Room for a single event, so that entries come and go.
mod count_cached_narrowly {
    use super::*;

    fn narrow() -> CountCacheConfig {
        CountCacheConfig::default().with_capacity(1)
    }

    rsvp_testkit::conformance!(super::layered(|store| store.with_count_cache(narrow()).unwrap()));
}

/// Shards of memory, with those of a peer on the same data.
fn sharded<W: RsvpStore + 'static>(wrap: impl Fn(Vec<Arc<dyn RsvpStore>>) -> W) -> Subject {
    Subject::layered_over([(); 4].map(|()| MemoryStore::new()), wrap)
}

/// Four shards, and each event on so many of them.
fn spread(stores: Vec<Arc<dyn RsvpStore>>, spread: usize) -> ShardedStore<Arc<dyn RsvpStore>> {
    let shards = (1..).zip(stores).map(|(n, store)| Shard::new(&format!("s{n}"), store));
    ShardedStore::new(shards, spread).unwrap()
}

mod sharded_whole {
    rsvp_testkit::conformance!(super::sharded(|stores| super::spread(stores, 1)));
}

mod sharded_over_three {
    rsvp_testkit::conformance!(super::sharded(|stores| super::spread(stores, 3)));
}

mod sharded_over_all {
    rsvp_testkit::conformance!(super::sharded(|stores| super::spread(stores, usize::MAX)));
}

mod retried {
    use super::*;

    rsvp_testkit::conformance!(super::layered(|store| store
        .with_retry(RetryConfig::default())
        .unwrap()));
}

mod timed {
    use super::*;

    fn long() -> TimeoutConfig {
        TimeoutConfig::new(Duration::from_secs(60))
    }

    rsvp_testkit::conformance!(super::layered(|store| store.with_timeout(long()).unwrap()));
}

/// One call at a time; everything else waits.
mod limited {
    use super::*;

    fn one() -> LimitConfig {
        LimitConfig::new(1).with_queue(1000)
    }

    rsvp_testkit::conformance!(super::layered(|store| store.with_limit(one()).unwrap()));
}

mod observed {
    use super::*;

    rsvp_testkit::conformance!(super::layered(|store| store.with_observer("test").unwrap()));
}

/// One coalescer and one cache around all shards.
mod stacked {
    use super::*;

    fn stack(shards: Vec<Arc<dyn RsvpStore>>) -> impl RsvpStore + use<> {
        spread(shards, 2)
            .with_retry(RetryConfig::default())
            .unwrap()
            .with_coalescing(CoalesceConfig::default())
            .unwrap()
            .with_count_cache(CountCacheConfig::default())
            .unwrap()
    }

    rsvp_testkit::conformance!(super::sharded(stack));
}

mod of_a_third_party {
    use super::*;
    use crate::breaker::Breaker;

    rsvp_testkit::conformance!(super::layered(|store| store.with_layer(Breaker::default())));
}

/// Every layer that a query can name, with room for all calls of the suite.
mod queried {
    use super::*;

    fn stack(store: Arc<dyn RsvpStore>) -> Arc<dyn RsvpStore> {
        let query = "observe=all&timeout=60s&retry=60s&limit=1000&limit_queue=100000\
                     &coalesce=true&count_cache=5s&deadline=60s";
        Layers::from_query(query).unwrap().around(store).unwrap()
    }

    rsvp_testkit::conformance!(super::layered(stack));
}
