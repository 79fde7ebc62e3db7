//! Layers, by a URL and by code.
//!
//! ```text
//! cargo run --example layers
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::time::Duration;

use rsvp::layers::{
    CoalesceConfig, CountCacheConfig, LayerExt, Layers, RetryConfig, TimeoutConfig,
};
use rsvp::{Consistency, EventId, MemoryStore, Result, RsvpStore, RsvpStoreExt, UserId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // 1. By a URL, which is how an operator sets them. The order is always the right one.
    let by_url = rsvp::open("memory:?timeout=1s&retry=2s&coalesce=true&count_cache=5s").await?;
    calls(&by_url).await?;
    by_url.close().await?;

    // 2. By code, the innermost first.
    let by_code = MemoryStore::new()
        .with_timeout(TimeoutConfig::new(Duration::from_secs(1)))?
        .with_retry(RetryConfig::default())?
        .with_coalescing(CoalesceConfig::default())?
        .with_count_cache(CountCacheConfig::default())?;
    calls(&by_code).await?;
    by_code.close().await?;

    // 3. Around a store of your own, from a setting.
    let around = Layers::from_query("retry=2s&coalesce=true")?.around(MemoryStore::new())?;
    calls(&around).await?;
    around.close().await
}

async fn calls(store: &impl RsvpStore) -> Result<()> {
    let event = EventId::new("101a")?;
    let receipt = store.rsvp(&UserId::new("ada")?, &event).await?;
    // The default accepts a count of the last 5 s. This one waits for a fresh count.
    let fresh = store.rsvp_count_with(&event, Consistency::Strong).await?;
    println!(
        "rsvp = {:?}, repeated = {}, count = {}",
        receipt.outcome, receipt.repeated, fresh.value
    );
    Ok(())
}
