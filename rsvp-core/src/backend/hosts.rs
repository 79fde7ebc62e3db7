//! Several hosts, of which one will do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

/// Hosts that are tried in turn, beginning with the one that answered last.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::backend::HostRotation;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hosts = HostRotation::new(vec!["replica", "primary"]);
/// let connected = hosts.connect(Duration::from_secs(1), |host| async move {
///     if *host == "primary" { Ok(*host) } else { Err("read-only") }
/// });
/// let connected = connected.await;
/// assert_eq!(connected.unwrap(), "primary");
/// # }
/// ```
#[derive(Debug)]
pub struct HostRotation<H> {
    hosts: Vec<H>,
    /// The place of the host that answered last.
    last: AtomicUsize,
}

/// Why one host of a [`HostRotation`] gave no connection.
#[derive(Clone, Debug)]
pub enum HostFailure<E> {
    /// The host did not answer within this time.
    TimedOut(Duration),
    /// The attempt failed.
    Failed(E),
}

impl<H> HostRotation<H> {
    /// Begins with the first of `hosts`.
    pub fn new(hosts: Vec<H>) -> Self {
        Self { hosts, last: AtomicUsize::new(0) }
    }

    /// The hosts, in the order in which they were given.
    pub fn hosts(&self) -> &[H] {
        &self.hosts
    }

    /// The time that a round takes if every host is silent, with `timeout` for each.
    pub fn patience(&self, timeout: Duration) -> Duration {
        timeout.saturating_mul(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX))
    }

    /// Connects to the first host that will do, trying each once and for at most `limit`.
    ///
    /// # Errors
    ///
    /// The failure of every host, in the order in which they were tried.
    pub async fn connect<'a, C, E, F>(
        &'a self,
        limit: Duration,
        connect: impl Fn(&'a H) -> F,
    ) -> Result<C, Vec<HostFailure<E>>>
    where
        F: Future<Output = Result<C, E>>,
    {
        let first = self.last.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for offset in 0..self.hosts.len() {
            let at = (first + offset) % self.hosts.len();
            let Some(host) = self.hosts.get(at) else { continue };
            match timeout(limit, connect(host)).await {
                Ok(Ok(connection)) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(error)) => failures.push(HostFailure::Failed(error)),
                Err(_) => failures.push(HostFailure::TimedOut(limit)),
            }
        }
        Err(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_host_that_answered_last_is_tried_first() {
        let hosts = HostRotation::new(vec!["silent", "down", "up"]);
        let connect = |host: &'static str| async move {
            match host {
                "silent" => std::future::pending().await,
                "down" => Err("refused"),
                host => Ok(host),
            }
        };
        let limit = Duration::from_secs(1);
        let began = tokio::time::Instant::now();
        assert_eq!(hosts.connect(limit, |host| connect(host)).await.unwrap(), "up");
        assert_eq!(began.elapsed(), limit);
        assert_eq!(hosts.connect(limit, |host| connect(host)).await.unwrap(), "up");
        assert_eq!(began.elapsed(), limit, "the silent one is not tried again");
    }

    #[tokio::test]
    async fn a_round_without_success_says_why_of_each() {
        let hosts = HostRotation::new(vec!["a", "b"]);
        let refuse = |host: &&'static str| std::future::ready(Err::<(), _>(*host));
        let failures = hosts.connect(Duration::from_secs(1), refuse).await.unwrap_err();
        assert!(matches!(failures[..], [HostFailure::Failed("a"), HostFailure::Failed("b")]));
    }
}
