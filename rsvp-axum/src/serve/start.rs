//! Starts before the store is available.

use std::time::Duration;

use rsvp_core::{Effect, Error, Operation, Result};
use tokio::time::{Instant, sleep, timeout_at};

use crate::log;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tries to open a store for some time, because its database may start later than this process.
///
/// It repeats retryable errors, with pauses from 100 ms to 2 s.
/// With a `limit` of zero, it makes one attempt without a time limit.
///
/// # Errors
///
/// The error of the last attempt, or the first error that is not retryable, such as a wrong URL.
///
/// ```
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp::Result<()> {
/// let store = rsvp_axum::wait_for(Duration::from_secs(60), || rsvp::open("memory:")).await?;
/// # Ok(())
/// # }
/// ```
pub async fn wait_for<T, F>(limit: Duration, mut open: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    if limit.is_zero() {
        return open().await;
    }
    let end = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let mut last = Error::timed_out(Operation::Open, limit, Effect::NotApplied);
    while let Ok(opened) = timeout_at(end, open()).await {
        match opened {
            Err(error) if error.is_retryable() => {
                log::failure("the store is not there yet", &error);
                last = error;
            }
            opened => return opened,
        }
        // A pause beyond the end would only delay the error.
        if Instant::now() + pause >= end {
            break;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(last)
}
