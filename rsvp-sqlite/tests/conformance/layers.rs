//! The store within the layers that the README shows, and as shards of one.

use std::sync::Arc;

use rsvp_core::RsvpStore;
use rsvp_core::layers::{Layers, Shard, ShardedStore};

use super::support::subject;

/// The layers of a query around a store.
fn around(query: &str, store: impl RsvpStore + 'static) -> Arc<dyn RsvpStore> {
    Layers::from_query(query).unwrap().around(store).unwrap()
}

mod readme {
    use super::*;

    const QUERY: &str = "coalesce=true&count_cache=5s";

    rsvp_testkit::conformance!(subject(1, |mut stores| around(QUERY, stores.remove(0))).await);
}

/// Every layer that a query can name, with room for all calls of the suite.
mod every_layer {
    use super::*;

    const QUERY: &str = "observe=all&timeout=60s&retry=5s&limit=1000&limit_queue=100000\
                         &coalesce=true&count_cache=5s&deadline=60s";

    rsvp_testkit::conformance!(subject(1, |mut stores| around(QUERY, stores.remove(0))).await);
}

/// Four files as one store, each event on two of them.
mod sharded {
    use super::*;

    fn shards(stores: Vec<Arc<dyn RsvpStore>>) -> Arc<dyn RsvpStore> {
        let shards = (1..).zip(stores).map(|(n, store)| Shard::new(&format!("s{n}"), store));
        around("coalesce=true&count_cache=5s", ShardedStore::new(shards, 2).unwrap())
    }

    rsvp_testkit::conformance!(subject(4, shards).await);
}
