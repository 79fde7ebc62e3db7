//! Removal over shards, one after another.

use futures_util::future::BoxFuture;

use super::{Shard, ShardedStore};
use crate::{Effect, PageLimit, RemovalStep, Result, RsvpStore, SessionToken};

impl<S: RsvpStore> ShardedStore<S> {
    /// Runs steps on one shard after another until `limit` RSVPs are removed.
    pub(super) async fn remove<'a>(
        &'a self,
        shards: Vec<&'a Shard<S>>,
        limit: PageLimit,
        step: impl Fn(&'a S, PageLimit) -> BoxFuture<'a, Result<RemovalStep>>,
    ) -> Result<RemovalStep> {
        let mut all = RemovalStep::new(0, true, SessionToken::new());
        let mut left = Some(limit);
        for shard in shards {
            // The limit is used up. The next step goes on here.
            let Some(limit) = left else { return Ok(all) };
            let step = match step(&shard.store, limit).await {
                Ok(step) => step,
                // Report the removed RSVPs. The next step will meet the error again.
                Err(error) if all.removed > 0 && error.effect() == Effect::NotApplied => {
                    return Ok(all);
                }
                Err(error) => {
                    // Earlier shards have changed, so the effect of the whole step is unknown.
                    let before = if all.removed > 0 { Effect::Unknown } else { Effect::NotApplied };
                    let effect = error.effect().and(before);
                    return Err(shard.named(error).with_effect(effect));
                }
            };
            all.removed = all.removed.saturating_add(step.removed);
            all.repeated |= step.repeated;
            all.token.merge(&step.token);
            // The shard has more to remove, so it is also the next step's first shard.
            if step.more {
                return Ok(all);
            }
            left = less(limit, step.removed);
        }
        Ok(RemovalStep { more: false, ..all })
    }
}

/// Returns the rest of a limit.
fn less(limit: PageLimit, taken: u64) -> Option<PageLimit> {
    let left = limit.get().checked_sub(usize::try_from(taken).ok()?)?;
    PageLimit::new(left).ok()
}
