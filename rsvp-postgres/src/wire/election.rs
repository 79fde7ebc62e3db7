//! Choosing the primary among several hosts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rsvp_core::backend::HostFailure;
use sqlx::Connection as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::failure::ConnectError;
use super::lsn::Timeline;

/// Once a host takes writes, the others have so much more time to tell that they are later ones.
const GRACE: Duration = Duration::from_millis(250);

/// The latest timelines of the clusters that a store has met. Clones share them.
///
/// A primary of an earlier timeline was replaced. It may go on, if nobody has stopped it: its reads
/// are stale, and its writes will be lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest(Arc<Mutex<Vec<Timeline>>>);

impl Latest {
    /// Notes that there is a primary of this timeline.
    pub(super) fn note(&self, timeline: Timeline) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match latest.iter_mut().find(|known| known.system == timeline.system) {
            Some(known) => known.number = known.number.max(timeline.number),
            None => latest.push(timeline),
        }
    }

    /// Whether a primary of this timeline has been replaced.
    pub(super) fn has_replaced(&self, timeline: Timeline) -> bool {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().any(|known| known.succeeds(timeline))
    }
}

/// Asks all hosts at once, each for at most `limit`, and returns the one to use and its place: that of
/// the latest timeline, and one that takes writes before one that is read-only.
///
/// A host that does not answer in time cannot be told from one that is down. If it is the new
/// primary, and this process has never met it, the old one is used.
///
/// # Errors
///
/// The failures of all hosts, if none will do.
pub(super) async fn elect<H, F>(
    hosts: &[H],
    limit: Duration,
    latest: &Latest,
    connect: impl Fn(usize) -> F,
) -> Result<(usize, Connection), ConnectError>
where
    F: Future<Output = Result<Connection, ConnectError>>,
{
    // 1. All are asked. When one takes writes, the others get the grace.
    let ask = |place| {
        let connecting = timeout(limit, connect(place));
        async move { (place, connecting.await) }
    };
    let mut asking: FuturesUnordered<_> = (0..hosts.len()).map(ask).collect();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    let mut end = Instant::now() + limit * 2;
    while let Ok(Some((place, answer))) = timeout_at(end, asking.next()).await {
        match answer {
            Ok(Ok(connection)) => {
                latest.note(connection.timeline);
                if !connection.read_only {
                    end = end.min(Instant::now() + GRACE);
                }
                found.push((place, connection));
            }
            Ok(Err(error)) => failures.push(HostFailure::Failed(error)),
            Err(_) => failures.push(HostFailure::TimedOut(limit)),
        }
    }
    // 2. The best of those that have not been replaced.
    let (mut fit, replaced): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, connection)| !latest.has_replaced(connection.timeline));
    let nobody = match replaced.is_empty() {
        true => ConnectError::of_all(failures),
        false => ConnectError::Replaced,
    };
    fit.sort_by_key(|(place, connection)| (connection.read_only, *place));
    let mut fit = fit.into_iter();
    let best = fit.next();
    // 3. The others are closed in order, so that the servers' logs have no word of it.
    for (_, connection) in fit.chain(replaced) {
        tokio::spawn(timeout(limit, connection.pg.close()));
    }
    best.ok_or(nobody)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_of_an_earlier_timeline_of_the_same_cluster_was_replaced() {
        let timeline = |system, number| Timeline { system, number };
        let latest = Latest::default();
        latest.note(timeline(7, 2));
        latest.clone().note(timeline(7, 1));
        assert!(latest.has_replaced(timeline(7, 1)));
        assert!(!latest.has_replaced(timeline(7, 2)));
        assert!(!latest.has_replaced(timeline(7, 3)));
        assert!(!latest.has_replaced(timeline(8, 1)), "another cluster");
    }
}
