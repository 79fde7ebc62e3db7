//! The next node of a refused request, by `MOVED`, by `ASK`, or by a refreshed topology.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rsvp_core::url::Host;

use crate::wire::failure::Failure;
use crate::wire::request::Request;
use crate::wire::topology::Topology;

/// The pause before another attempt, if time helps. It grows with each attempt.
const PAUSE: Duration = Duration::from_millis(20);

/// The node for the requests of a slot, in place of the slot's known owner.
#[derive(Debug)]
pub(crate) struct Redirect<N> {
    pub(crate) node: Arc<N>,
    /// Whether the node does not own the slot yet. Then `ASKING` must come first.
    pub(crate) asking: bool,
}

impl<N> Clone for Redirect<N> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node), asking: self.asking }
    }
}

/// The redirects of a call, by slot.
pub(crate) type Redirects<N> = HashMap<u16, Redirect<N>>;

/// A request without an effect, and its index within the call.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) index: usize,
    pub(crate) request: Request,
    pub(crate) failure: Failure,
}

/// The preparations of the next attempt.
#[derive(Debug)]
pub(crate) struct NextAttempt<N> {
    pub(crate) redirects: Redirects<N>,
    /// Whether the topology must be refreshed.
    pub(crate) refresh: bool,
    /// The failed nodes. A refresh does not ask them.
    pub(crate) excluded: Vec<Arc<N>>,
    pub(crate) pause: Option<Duration>,
}

impl<N> NextAttempt<N> {
    /// Decides by the refusals of an attempt. `node_at` finds the node of an address.
    pub(crate) fn after(
        refused: &[Refused],
        topology: &Topology<N>,
        attempt: u32,
        node_at: impl Fn(&Host) -> Option<Arc<N>>,
    ) -> Self {
        let (mut redirects, mut excluded) = (Redirects::new(), Vec::new());
        let (mut refresh, mut pauses) = (false, false);
        for Refused { request, failure, .. } in refused {
            match failure {
                Failure::Ask(error) | Failure::Moved(error) => {
                    let asking = matches!(failure, Failure::Ask(_));
                    let target = error.redirect_node().and_then(|(address, _)| target(address));
                    if let Some(node) = target.and_then(|host| node_at(&host)) {
                        redirects.insert(request.slot, Redirect { node, asking });
                    }
                    refresh |= !asking;
                    // Two nodes that send a request to each other agree in a moment.
                    pauses |= attempt > 0;
                }
                failure if failure.is_mid_migration() => pauses = true,
                _ => {
                    excluded.extend(topology.owner_of(request.slot).cloned());
                    refresh = true;
                }
            }
        }
        let pause = pauses.then(|| PAUSE * (attempt + 1));
        Self { redirects, refresh, excluded, pause }
    }
}

/// The address in a redirection. An empty or unknown host stands for the sender of the redirection,
/// with no other node to try.
fn target(address: &str) -> Option<Host> {
    if address.starts_with([':', '?']) { None } else { address.parse().ok() }
}

/// Whether a refused request may be accepted now, by a redirect, by the same node, or by another
/// owner than `before`.
pub(crate) fn is_worth_repeating<N>(
    Refused { request, failure, .. }: &Refused,
    before: &Topology<N>,
    now: &Topology<N>,
    is_cluster: bool,
) -> bool {
    match failure {
        Failure::Ask(_) | Failure::Moved(_) => true,
        // Another of the hosts may be the primary by now.
        Failure::ReadOnly(_) if !is_cluster => true,
        failure if failure.is_mid_migration() => true,
        _ => match (before.owner_of(request.slot), now.owner_of(request.slot)) {
            (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
            (None, Some(_)) => true,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use redis::{cmd, parse_redis_value};

    use super::*;
    use crate::wire::failure::refusal;

    fn refused(reply: &str) -> Refused {
        let error = parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        let failure = refusal(error.extract_error().unwrap_err());
        Refused { index: 0, request: Request::read(7, cmd("GET")), failure }
    }

    fn after(reply: &str, attempt: u32) -> NextAttempt<String> {
        let topology = Topology::single("owner:1".to_owned(), Arc::new("owner:1".to_owned()));
        let node_at = |host: &Host| Some(Arc::new(host.to_string()));
        NextAttempt::after(&[refused(reply)], &topology, attempt, node_at)
    }

    #[test]
    fn moved_goes_to_the_new_owner_and_refreshes_the_topology() {
        let next = after("MOVED 7 h:2", 0);
        let redirect = next.redirects.get(&7).unwrap();
        assert_eq!((redirect.node.as_str(), redirect.asking), ("h:2", false));
        assert!(next.refresh && next.excluded.is_empty() && next.pause.is_none());
        assert_eq!(after("MOVED 7 h:2", 1).pause, Some(2 * PAUSE));
    }

    #[test]
    fn ask_goes_to_the_next_owner_and_believes_the_topology() {
        let next = after("ASK 7 h:2", 0);
        assert!(next.redirects.get(&7).unwrap().asking);
        assert!(!next.refresh);
    }

    #[test]
    fn a_redirection_without_a_host_redirects_nothing() {
        for reply in ["MOVED 7 :2", "MOVED 7 ?:2"] {
            let next = after(reply, 0);
            assert!(next.redirects.is_empty() && next.refresh, "{reply}");
        }
    }

    #[test]
    fn a_node_that_refuses_is_not_asked_for_the_topology() {
        let next = after("CLUSTERDOWN x", 0);
        assert_eq!(next.excluded, [Arc::new("owner:1".to_owned())]);
        assert!(next.refresh);
        let next = after("TRYAGAIN x", 0);
        assert!(next.excluded.is_empty() && !next.refresh && next.pause == Some(PAUSE));
    }
}
