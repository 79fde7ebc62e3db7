//! The refresh of the topology. The file holds the known nodes, and asks several of them for the
//! owners of the slots.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::Pipeline;
use rsvp_core::Result;
use rsvp_core::url::Host;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout_at};

use crate::config::{DEFAULT_PORT, RedisConfig};
use crate::wire::call_deadline::Call;
use crate::wire::connection_fence::Fences;
use crate::wire::failure::Failure;
use crate::wire::handshake::text;
use crate::wire::node::Node;
use crate::wire::topology::{Claim, Topology, newest, parse_epochs, parse_slots};

/// The most nodes to ask at once for the topology.
const ASKED: usize = 6;

/// Once a node has replied, the others have so much more time.
const GRACE: Duration = Duration::from_millis(100);

/// The known nodes, and the owners of the slots among them.
#[derive(Debug)]
pub(crate) struct TopologyRefresh {
    config: Arc<RedisConfig>,
    topology: RwLock<Arc<Topology<Node>>>,
    known: Mutex<Known>,
    /// The moment of the last refresh. The lock is held during a refresh (single flight).
    refreshed: AsyncMutex<Option<Instant>>,
    /// The number of refreshes. The nodes to ask rotate by it.
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    /// Every known node with its connections, by address.
    nodes: HashMap<String, Arc<Node>>,
    /// The fences of every address. A node may leave and come back with earlier commands still to
    /// execute.
    fences: HashMap<String, Arc<Fences>>,
}

impl TopologyRefresh {
    pub(crate) fn new(config: Arc<RedisConfig>, topology: Topology<Node>) -> Self {
        Self {
            config,
            topology: RwLock::new(Arc::new(topology)),
            known: Mutex::default(),
            refreshed: AsyncMutex::new(None),
            turn: AtomicUsize::new(0),
        }
    }

    /// The owners of the slots as of the last refresh.
    pub(crate) fn topology(&self) -> Arc<Topology<Node>> {
        Arc::clone(&self.topology.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks several nodes for the owners of the slots, and believes the claims of the highest
    /// config epoch. `excluded` nodes are asked only if there are no others.
    ///
    /// During a refresh, or with a topology younger than `max_age`, a caller shares the result of
    /// the last refresh.
    pub(crate) async fn refresh_topology(
        &self,
        call: Call,
        max_age: Duration,
        excluded: &[Arc<Node>],
    ) -> Result<()> {
        let refresh = self.refresh_within(call, max_age, excluded).await;
        refresh.map_err(|failure| failure.into_error(call.operation))
    }

    /// As [`refresh_topology`](Self::refresh_topology), with the failure as it is.
    pub(crate) async fn refresh_within(
        &self,
        call: Call,
        max_age: Duration,
        excluded: &[Arc<Node>],
    ) -> Result<(), Failure> {
        call.within(self.refresh(call, max_age, excluded)).await?
    }

    async fn refresh(
        &self,
        call: Call,
        max_age: Duration,
        excluded: &[Arc<Node>],
    ) -> Result<(), Failure> {
        // Step 1: wait for the lock. Only one refresh runs at a time, and callers who waited for it
        // share its result.
        let wanted = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at >= wanted || at.elapsed() < max_age) {
            return Ok(());
        }
        // Step 2: ask several nodes.
        let began = Instant::now();
        let claims = self.claims(call, excluded).await;
        // Step 3: note the refresh, even if no node replied. The waiting callers would only find
        // out the same, one by one.
        *refreshed = Some(began);
        let ranges = newest(&claims?);
        // Step 4: replace the topology. Known nodes keep their connections, and those that left are
        // dropped.
        let topology = Topology::of(&ranges, |host| self.node_at(host));
        self.forget_all_but(&topology);
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(topology);
        Ok(())
    }

    /// The claims of several nodes. The first reply may come from an isolated node, so the others
    /// have a moment to disagree.
    async fn claims(&self, call: Call, excluded: &[Arc<Node>]) -> Result<Vec<Claim>, Failure> {
        let mut asking: FuturesUnordered<_> =
            self.candidates(excluded).into_iter().map(|node| ask(call, node)).collect();
        let (mut claims, mut failure) = (Vec::new(), Failure::NoOwner);
        let mut end = None;
        loop {
            let next = asking.next();
            let reply = match end {
                None => next.await,
                Some(end) => timeout_at(end, next).await.unwrap_or_default(),
            };
            match reply {
                Some(Ok(reply)) => {
                    claims.extend(reply);
                    end = end.or_else(|| Some(Instant::now() + GRACE));
                }
                Some(Err(error)) => failure = error,
                None if claims.is_empty() => return Err(failure),
                None => return Ok(claims),
            }
        }
    }

    /// The nodes to ask, some known and some configured ones. They rotate, so a refresh does not
    /// depend on a few.
    fn candidates(&self, excluded: &[Arc<Node>]) -> Vec<Arc<Node>> {
        let topology = self.topology();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = rotated(&topology.nodes, turn).take(ASKED / 2).cloned();
        let configured = rotated(&self.config.hosts, turn).filter_map(|host| self.node_at(host));
        let mut candidates: Vec<Arc<Node>> = Vec::new();
        for node in known.chain(configured) {
            if candidates.len() < ASKED && !candidates.iter().any(|own| Arc::ptr_eq(own, &node)) {
                candidates.push(node);
            }
        }
        let is_excluded = |node: &Arc<Node>| excluded.iter().any(|one| Arc::ptr_eq(one, node));
        if candidates.iter().any(|node| !is_excluded(node)) {
            candidates.retain(|node| !is_excluded(node));
        }
        candidates
    }

    /// The node at an address, with its connections. A new one is remembered.
    pub(crate) fn node_at(&self, host: &Host) -> Option<Arc<Node>> {
        let host = host.clone().with_default_port(DEFAULT_PORT);
        let address = host.to_string();
        let mut known = self.known();
        if let Some(node) = known.nodes.get(&address) {
            return Some(Arc::clone(node));
        }
        let fences = Arc::clone(known.fences.entry(address).or_default());
        let node = Arc::new(Node::new(&self.config, vec![host], fences).ok()?);
        known.nodes.insert(node.address.clone(), Arc::clone(&node));
        Some(node)
    }

    /// Forgets every node, and with them their connections.
    pub(crate) fn clear(&self) {
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Topology::empty());
        self.known().nodes.clear();
    }

    /// Forgets nodes outside of the topology and the configuration. Configured ones are asked
    /// again, and those with connections to fence may come back.
    fn forget_all_but(&self, topology: &Topology<Node>) {
        let hosts = self.config.hosts.iter().cloned();
        let configured: Vec<_> =
            hosts.map(|host| host.with_default_port(DEFAULT_PORT).to_string()).collect();
        let mut known = self.known();
        known.nodes.retain(|address, node| {
            configured.contains(address)
                || topology.nodes.iter().any(|kept| Arc::ptr_eq(kept, node))
                || !node.fences.are_settled()
        });
        // Those that a call or a node still uses may have more to remember.
        known.fences.retain(|_, fences| Arc::strong_count(fences) > 1 || !fences.are_settled());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All items, beginning with another one each turn.
fn rotated<T>(all: &[T], turn: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(turn % all.len().max(1)).take(all.len())
}

/// Asks one node for the owners of the slots. Without the right to `CLUSTER NODES` all claims are
/// equal.
async fn ask(call: Call, node: Arc<Node>) -> Result<Vec<Claim>, Failure> {
    let connection = node.connection(call).await?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("NODES");
    let reply_timeout = call.reply_timeout(node.config.response_timeout, false)?;
    let replies = connection.send(pipeline, reply_timeout).await?;
    let nodes = replies.values.get(1).cloned().map(text).unwrap_or_default();
    let name = node.address.rsplit_once(':').map_or("", |(name, _)| name);
    let slots = replies.values.first();
    let claims = slots.and_then(|slots| parse_slots(slots, name, &parse_epochs(&nodes)));
    claims.filter(|claims| !claims.is_empty()).ok_or(Failure::NoOwner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::slot::SlotRange;

    #[tokio::test]
    async fn every_node_is_asked_in_turn() {
        let url = "redis+cluster://c0,c1,c2,c3,c4,c5,n0";
        let config = Arc::new(RedisConfig::from_url(url).unwrap());
        let node =
            |host: &Host| Node::new(&config, vec![host.clone()], Arc::default()).ok().map(Arc::new);
        let host = |number| Host { name: format!("n{number}"), port: Some(DEFAULT_PORT) };
        let range = |slot| SlotRange { first: slot, last: slot, owner: host(slot) };
        let ranges: Vec<_> = (0..10).map(range).collect();
        let topology_refresh =
            TopologyRefresh::new(Arc::clone(&config), Topology::of(&ranges, node));
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let candidates = topology_refresh.candidates(&[]);
            assert_eq!(candidates.len(), ASKED);
            asked.extend(candidates.iter().map(|node| node.address.clone()));
        }
        assert_eq!(asked.len(), 16, "{asked:?}");
    }

    #[tokio::test]
    async fn a_node_that_comes_back_has_the_fences_that_it_had() {
        let config = Arc::new(RedisConfig::from_url("redis+cluster://c0").unwrap());
        let topology_refresh = TopologyRefresh::new(config, Topology::empty());
        let host = Host { name: "n0".to_owned(), port: Some(DEFAULT_PORT) };
        let node = topology_refresh.node_at(&host).unwrap();
        topology_refresh.forget_all_but(&Topology::empty());
        let again = topology_refresh.node_at(&host).unwrap();
        assert!(!Arc::ptr_eq(&node, &again) && Arc::ptr_eq(&node.fences, &again.fences));
        // Nothing is left of it once nothing of it is to be settled.
        drop((node, again));
        topology_refresh.forget_all_but(&Topology::empty());
        assert_eq!(topology_refresh.known().fences.len(), 0);
    }
}
