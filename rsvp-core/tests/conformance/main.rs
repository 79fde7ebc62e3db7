//! Every wrapper keeps the contract over the memory store, with a peer: another wrapper on the
//! same data, as another process would have it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::sync::Arc;

use rsvp_core::RsvpStore;
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
