//! Many stores as one: shards, and the effect of one more shard.
//!
//! ```text
//! cargo run --example sharded
//! ```
//!
//! With servers the same is a list of named URLs: `eu1=postgres://db1/app eu2=postgres://db2/app ?spread=2`.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use rsvp::layers::{Placement, Shard, ShardedStore};
use rsvp::{Consistency, EventId, MemoryStore, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId};

const NAMES: [&str; 4] = ["eu1", "eu2", "eu3", "eu4"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // 1. Four shards. A hot event is divided between two of them.
    let shards = NAMES.map(|name| Shard::new(name, MemoryStore::new()));
    let store = ShardedStore::new(shards, 2)?;
    let concert = EventId::new("concert")?;
    for user in 0..1_000_u64 {
        store.rsvp(&UserId::from(user), &concert).await?;
    }
    let count = store.rsvp_count_with(&concert, Consistency::Strong).await?;
    println!("count = {}", count.value);
    for shard in store.shards() {
        let part = shard.get_ref().rsvp_count(&concert).await?;
        println!("{} holds {}", shard.name(), part.value);
    }
    store.close().await?;

    // 2. One more shard takes a fifth of the pairs, and nothing else moves.
    let equal = |name: &'static str| (name, 1.0);
    let four = Placement::new(NAMES.map(equal), 1)?;
    let five = Placement::new(NAMES.into_iter().chain(["eu5"]).map(equal), 1)?;
    let pair = |n: u64| Rsvp::new(UserId::from(n), EventId::from(n));
    let moved = (0..10_000).map(pair).filter(|pair| four.shard_of(pair) != five.shard_of(pair));
    let to: Vec<String> = moved.map(|pair| five.shard_of(&pair).to_owned()).collect();
    println!("moved {} of 10000, all to eu5: {}", to.len(), to.iter().all(|name| name == "eu5"));
    Ok(())
}
