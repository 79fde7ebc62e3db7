//! Waits for events outside of the process, on a thread of its own and in real time.

#![allow(
    clippy::disallowed_methods,
    reason = "servers live in real time, also where a test has paused tokio's clock"
)]

use std::panic::resume_unwind;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs `work` on a blocking thread and passes its panic on.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => panic!("the runtime is shutting down: {error}"),
        },
    }
}

/// Calls `probe` again and again until it answers, and gives up after `limit`.
pub(super) fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    // Servers are often ready within milliseconds, so the pause begins short.
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until `condition` holds. Panics with `what` in its message after `limit`.
pub(super) fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    if poll(limit, || condition().then_some(())).is_none() {
        panic!("waited {limit:?} for {what}");
    }
}
