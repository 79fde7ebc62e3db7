//! The choice of the primary among several hosts.

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

/// Once a writable host has answered, the other hosts have this time to show a later timeline.
const GRACE: Duration = Duration::from_millis(250);

/// The latest known timelines of the clusters of a store. Clones share them.
///
/// A primary of an earlier timeline was replaced. It may still run if nobody has stopped it.
/// Its reads are stale, and its writes will be lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest(Arc<Mutex<Vec<Timeline>>>);

impl Latest {
    /// Records a primary of this timeline.
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

/// Asks all hosts at once, each for at most `limit`, and returns the best one and its place.
///
/// Only hosts of the latest timeline count. A writable host is better than a read-only one.
/// A host that is too slow cannot be told from a host that is down.
/// If it is the new primary, and this process has never reached it, the old primary is used.
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
    // 1. All are asked. After a writable one, the others get the grace.
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
    // 2. The best host. A replaced primary is out of the question.
    let (mut fit, replaced): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, connection)| !latest.has_replaced(connection.timeline));
    let nobody = match replaced.is_empty() {
        true => ConnectError::of_all(failures),
        false => ConnectError::Replaced,
    };
    fit.sort_by_key(|(place, connection)| (connection.read_only, *place));
    let mut fit = fit.into_iter();
    let best = fit.next();
    // 3. The others are closed in order, so that the servers log no lost connection.
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
