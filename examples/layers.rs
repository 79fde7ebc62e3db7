//! Layers around a store: in code, and as the parameters of a URL.
//!
//! ```text
//! cargo run --example layers
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::time::Duration;

use rsvp::layers::{CoalesceConfig, CountCacheConfig, LayerExt, RetryConfig, TimeoutConfig};
use rsvp::{Error, EventId, MemoryStore, Result, RsvpStore, RsvpStoreExt, UserId};

/// The URL that makes the same layers.
const URL: &str = "memory:?observe=engine&timeout=1s&retry=2s&coalesce=true&count_cache=5s";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let by_code = layered(MemoryStore::new())?;
    let by_url = rsvp::open(URL).await?;
    println!("by code: {}", count_of_a_crowd(&by_code).await?);
    println!("by URL:  {}", count_of_a_crowd(&by_url).await?);

    // A misspelt parameter is an error, and the error lists the right ones.
    if let Err(Error::InvalidInput { field, .. }) = rsvp::open("memory:?coalesced=true").await {
        println!("refused: invalid {field}");
    }
    by_code.close().await?;
    by_url.close().await
}

/// From the inside out. The documentation of `LayerExt` gives the reasons for this order.
fn layered(backend: impl RsvpStore + 'static) -> Result<impl RsvpStore> {
    backend
        .with_observer("engine")?
        .with_timeout(TimeoutConfig::new(Duration::from_secs(1)))?
        .with_retry(RetryConfig::default())?
        .with_coalescing(CoalesceConfig::default())?
        .with_count_cache(CountCacheConfig::default())
}

/// A thousand callers write at once. The coalescer sends few batches to the backend.
async fn count_of_a_crowd(store: &dyn RsvpStore) -> Result<u64> {
    let event = EventId::new("concert")?;
    let users: Vec<UserId> = (0..1_000_u64).map(UserId::from).collect();
    futures_util::future::try_join_all(users.iter().map(|user| store.rsvp(user, &event))).await?;
    Ok(store.rsvp_count(&event).await?.value)
}
