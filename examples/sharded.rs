//! Several stores as one.
//!
//! ```text
//! cargo run --example sharded
//! ```
//!
//! The shards are in memory here. In production each is a server of its own:
//!
//! ```text
//! a=postgres://db1/tickets b=postgres://db2/tickets c=postgres://db3/tickets ?spread=1&coalesce=true
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use futures_util::TryStreamExt;
use rsvp::layers::{Placement, Shard, ShardedStore};
use rsvp::{
    EventId, MemoryStore, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};

const EVENTS: u64 = 3_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // 1. In code. A host that makes its shards itself verifies that the list is the one that the data
    //    was written with. `rsvp::open` does that.
    let shards = ["a", "b", "c"].map(|name| Shard::new(name, MemoryStore::new()));
    let store = ShardedStore::new(shards, 1)?;
    store.verify_placement(&WriteOptions::default()).await?;

    // 2. One batch goes to all shards at once.
    let rsvps = (0..EVENTS).map(|event| Write::rsvp(UserId::from(1), EventId::from(event)));
    let writes: Vec<Write> = rsvps.collect();
    store.write_batch(&writes, &WriteOptions::default()).await?.outcomes()?;
    for shard in store.shards() {
        let rsvps: Vec<Rsvp> = shard.get_ref().scan().try_collect().await?;
        println!("shard {}: {} RSVPs", shard.name(), rsvps.len());
    }

    // 3. A fourth shard takes a fourth, and nothing else moves.
    let (old, new) = (store.placement(), placement(&["a", "b", "c", "d"])?);
    let moved =
        writes.iter().filter(|write| old.shard_of(&write.rsvp) != new.shard_of(&write.rsvp));
    let to_d = moved.clone().filter(|write| new.shard_of(&write.rsvp) == "d");
    println!("a fourth shard: {} RSVPs move, {} of them to d", moved.count(), to_d.count());
    store.close().await?;

    // 4. By URL.
    let store = rsvp::open("a=memory: b=memory: c=memory: ?spread=1&coalesce=true").await?;
    let event = EventId::new("101a")?;
    store.rsvp(&UserId::from(1), &event).await?;
    println!("rsvp_count({event}) = {}", store.rsvp_count(&event).await?.value);
    store.close().await
}

fn placement(names: &[&str]) -> Result<Placement> {
    Placement::new(names.iter().map(|name| (*name, 1.0)), 1)
}
