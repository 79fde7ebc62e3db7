//! The bytes of Redis' memory that an RSVP takes, beside the layout of the baseline.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench sizes -- redis
//! ```
//!
//! 1,000,000 RSVPs of 200,000 users to 10,000 events, with ids of 13 bytes, both directions
//! together.
use std::sync::Arc;

use rsvp_benches::{Invocation, Keyspace, Pairs};
use rsvp_core::{ReadOptions, RsvpStore};
use rsvp_testkit::servers::Persistence;

pub(crate) async fn run() {
    let rsvps: u64 = match Invocation::of("redis") {
        Invocation::Skip => return,
        Invocation::Try => 10_000,
        Invocation::Measure => 1_000_000,
    };
    let keyspace = Keyspace::start(Persistence::None).await;
    let version = keyspace.command(&["INFO", "server"]).await;
    let version = version.lines().find(|line| line.starts_with("redis_version")).unwrap_or("");
    println!("{}", version.trim_end());
    let empty = keyspace.used_memory().await;
    let pairs = Arc::new(Pairs::of(10_000).with_users(200_000));
    keyspace.load_store(&pairs, rsvps).await;
    let events: Vec<_> = (0..pairs.events()).map(Pairs::event).collect();
    let counts =
        keyspace.store.rsvp_count_batch(&events, &ReadOptions::strong()).await.expect("counts");
    let held: u64 = counts.into_iter().map(|count| count.expect("a count").value).sum();
    let store = keyspace.used_memory().await - empty;
    keyspace.start_over().await;
    let empty = keyspace.used_memory().await;
    for n in 0..pairs.taken() {
        keyspace.baseline.rsvp(&pairs.nth(n)).await;
    }
    let baseline = keyspace.used_memory().await - empty;
    println!("{held} RSVPs");
    let each = |bytes: u64| bytes as f64 / held as f64;
    println!("bytes per RSVP: store {:.1}, baseline {:.1}", each(store), each(baseline));
}
