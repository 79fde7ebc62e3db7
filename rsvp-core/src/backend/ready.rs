//! The readiness of a store of several parts.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::{Health, PartHealth, ReadyPolicy, Result};

/// Asks all parts at once, and succeeds as soon as enough of them are ready.
///
/// A part that does not answer thus holds up no probe, unless the policy needs it. The futures that are
/// still under way are dropped.
///
/// # Errors
///
/// The errors of the parts, combined as those of a batch, if the policy is not met.
///
/// ```
/// use std::future::pending;
/// use futures_util::FutureExt;
/// use rsvp_core::backend::ready_by;
/// use rsvp_core::{PartHealth, ReadyPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// let up = async { PartHealth::new("eu1", Ok(())) }.boxed();
/// ready_by(ReadyPolicy::Half, [up, pending().boxed()]).await
/// # }
/// ```
pub async fn ready_by<F: Future<Output = PartHealth>>(
    policy: ReadyPolicy,
    parts: impl IntoIterator<Item = F>,
) -> Result<()> {
    let mut asking: FuturesUnordered<F> = parts.into_iter().collect();
    let all = asking.len();
    let (mut answered, mut ready) = (Vec::with_capacity(all), 0);
    while let Some(part) = asking.next().await {
        ready += usize::from(part.result.is_ok());
        if policy.is_met(ready, all) {
            return Ok(());
        }
        answered.push(part);
    }
    Health::new(answered).check(policy)
}
