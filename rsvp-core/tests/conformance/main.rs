//! Every wrapper keeps the contract over the memory store, with a peer: another wrapper on the
//! same data, as another process would have it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::sync::Arc;

use rsvp_core::{RsvpStore, Shard, ShardedStore};
use rsvp_memory::MemoryStore;
use rsvp_testkit::Subject;

/// Two wrappers around one memory store.
fn wrapped<W: RsvpStore + 'static>(wrap: impl Fn(Arc<MemoryStore>) -> W) -> Subject {
    let store = Arc::new(MemoryStore::new());
    Subject::from(wrap(store.clone())).with_peer(wrap(store))
}

/// The suite itself, over two handles of one memory store.
mod unwrapped {
    rsvp_testkit::conformance!(super::wrapped(|store| store));
}

mod coalesced {
    use rsvp_core::{CoalesceConfig, RsvpStoreExt};

    rsvp_testkit::conformance!(super::wrapped(|store| store.coalesced(CoalesceConfig::default())));
}

/// One lane, batches of at most three entries, so that everything has to queue.
mod coalesced_narrowly {
    use rsvp_core::{CoalesceConfig, RsvpStoreExt};

    fn narrow() -> CoalesceConfig {
        let config = CoalesceConfig::default().with_lanes(1).unwrap();
        config.with_concurrent_reads(1).unwrap().with_max_batch(3).unwrap()
    }

    rsvp_testkit::conformance!(super::wrapped(|store| store.coalesced(narrow())));
}

mod count_cached {
    use rsvp_core::{CountCacheConfig, RsvpStoreExt};

    rsvp_testkit::conformance!(super::wrapped(
        |store| store.count_cached(CountCacheConfig::default())
    ));
}

/// Room for a single event, so that entries come and go.
mod count_cached_narrowly {
    use rsvp_core::{CountCacheConfig, RsvpStoreExt};

    fn narrow() -> CountCacheConfig {
        CountCacheConfig::default().with_capacity(1).unwrap()
    }

    rsvp_testkit::conformance!(super::wrapped(|store| store.count_cached(narrow())));
}

/// Four shards, and each event on so many of them, with a peer on the same.
fn sharded(spread: usize) -> Subject {
    let shards = [(); 4].map(|()| Arc::new(MemoryStore::new()));
    let store = || {
        let shards =
            (1..).zip(&shards).map(|(n, store)| Shard::new(&format!("s{n}"), store.clone()));
        ShardedStore::new(shards, spread).unwrap()
    };
    Subject::from(store()).with_peer(store())
}

mod sharded_whole {
    rsvp_testkit::conformance!(super::sharded(1));
}

mod sharded_over_three {
    rsvp_testkit::conformance!(super::sharded(3));
}

mod sharded_over_all {
    rsvp_testkit::conformance!(super::sharded(usize::MAX));
}

mod retried {
    use rsvp_core::{RetryConfig, RsvpStoreExt};

    rsvp_testkit::conformance!(super::wrapped(|store| store.retried(RetryConfig::default())));
}

mod timed {
    use std::time::Duration;

    use rsvp_core::{RsvpStoreExt, TimeoutConfig};

    fn long() -> TimeoutConfig {
        TimeoutConfig::new(Duration::from_secs(60)).unwrap()
    }

    rsvp_testkit::conformance!(super::wrapped(|store| store.timed(long())));
}

/// One call at a time; everything else waits.
mod limited {
    use rsvp_core::{LimitConfig, RsvpStoreExt};

    fn one() -> LimitConfig {
        LimitConfig::new(1).unwrap().with_queue(1000).unwrap()
    }

    rsvp_testkit::conformance!(super::wrapped(|store| store.limited(one())));
}

mod observed {
    use rsvp_core::RsvpStoreExt;

    rsvp_testkit::conformance!(super::wrapped(|store| store.observed("test").unwrap()));
}

/// One coalescer and one cache around all shards.
mod stacked {
    use std::sync::Arc;

    use rsvp_core::{
        CoalesceConfig, CountCacheConfig, RetryConfig, RsvpStore, RsvpStoreExt, Shard, ShardedStore,
    };
    use rsvp_memory::MemoryStore;
    use rsvp_testkit::Subject;

    fn stack(shards: &[Arc<MemoryStore>]) -> impl RsvpStore + use<> {
        let shards =
            (1..).zip(shards).map(|(n, store)| Shard::new(&format!("s{n}"), store.clone()));
        ShardedStore::new(shards, 2)
            .unwrap()
            .retried(RetryConfig::default())
            .coalesced(CoalesceConfig::default())
            .count_cached(CountCacheConfig::default())
    }

    fn subject() -> Subject {
        let shards = [(); 4].map(|()| Arc::new(MemoryStore::new()));
        Subject::from(stack(&shards)).with_peer(stack(&shards))
    }

    rsvp_testkit::conformance!(subject());
}
