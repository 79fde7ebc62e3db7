//! Sending commands to the nodes that serve their slots, wherever those are by now.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use redis::Pipeline;
use rsvp_core::url::Host;
use rsvp_core::{Operation, Result};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};

use crate::RedisConfig;
use crate::config::DEFAULT_PORT;
use crate::error::{Failure, connect_error};
use crate::node::Node;
use crate::topology::{Topology, parse_slots};
use crate::unit::{Answer, Unit, send};

/// How often what was refused before any effect is sent again, to where it is said to be served.
const REDIRECTIONS: u32 = 5;
/// How long to wait before that where waiting helps, growing with each time.
const PAUSE: Duration = Duration::from_millis(20);
/// The nodes that are asked at once for the topology.
const ASKED: usize = 6;
/// The most units that travel in one piece.
const PIECE: usize = 1024;

/// The servers.
pub(crate) struct Network {
    config: Arc<RedisConfig>,
    topology: RwLock<Arc<Topology>>,
    /// Every node that was heard of, by address, with its connections.
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    /// When the topology was last asked for.
    refreshed: AsyncMutex<Option<Instant>>,
    /// Counts those times.
    turn: AtomicUsize,
}

impl Network {
    /// Connects, and in a cluster learns who serves what.
    pub(crate) async fn open(config: Arc<RedisConfig>) -> Result<Self> {
        let no_node = |error| connect_error(Operation::Open, Arc::new(error));
        let single = Node::new(&config, config.hosts.clone()).map_err(no_node)?;
        let cluster = config.cluster;
        let topology = if cluster { Topology::of(&[], |_| None) } else { Topology::single(single) };
        let network = Self {
            config,
            topology: RwLock::new(Arc::new(topology)),
            nodes: Mutex::default(),
            refreshed: AsyncMutex::new(None),
            turn: AtomicUsize::new(0),
        };
        if cluster {
            network.refresh(Operation::Open).await?;
        } else if let Some(node) = network.topology().nodes.first() {
            let connected = node.connection().await;
            connected.map_err(|failure| failure.into_error(Operation::Open))?;
        }
        Ok(network)
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Who serves what, as far as is known.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends every unit to the node that serves its slot, all nodes at once, and gives the
    /// answers in the order of the units.
    ///
    /// What was certainly refused is sent again to wherever it is served by then. What may have
    /// been done is not: its outcome would be another one.
    pub(crate) async fn run(
        &self,
        operation: Operation,
        units: Vec<Unit>,
    ) -> Vec<Result<Answer, Failure>> {
        let mut answers: Vec<Option<Result<Answer, Failure>>> = Vec::new();
        answers.resize_with(units.len(), || None);
        let mut todo: Vec<(usize, Unit)> = units.into_iter().enumerate().collect();
        let mut asking = HashMap::new();
        let began = Instant::now();
        for attempt in 0..=REDIRECTIONS {
            let last = attempt == REDIRECTIONS || began.elapsed() > self.config.response_timeout;
            let mut refused = Vec::new();
            for (place, unit, answer) in self.round(todo, &asking).await {
                if !last && answer.as_ref().is_err_and(Failure::is_elsewhere) {
                    refused.push((place, unit, answer));
                } else if let Some(given) = answers.get_mut(place) {
                    *given = Some(answer);
                }
            }
            if refused.is_empty() {
                break;
            }
            asking = self.look_again(operation, &refused, attempt).await;
            todo = Vec::new();
            for (place, unit, answer) in refused {
                if self.config.cluster || matches!(answer, Err(Failure::ReadOnly(_))) {
                    todo.push((place, unit));
                } else if let Some(given) = answers.get_mut(place) {
                    *given = Some(answer);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Failure::NotServed))).collect()
    }

    /// Sends each unit once.
    async fn round(
        &self,
        units: Vec<(usize, Unit)>,
        asking: &HashMap<u16, Arc<Node>>,
    ) -> Vec<Answered> {
        let (pieces, mut done) = divide(units, &self.topology(), asking);
        let sending = pieces.into_iter().map(|(node, asking, piece)| async move {
            let (places, units): (Vec<usize>, Vec<Unit>) = piece.into_iter().unzip();
            let answers = send(&node, &units, asking).await;
            places
                .into_iter()
                .zip(units)
                .zip(answers)
                .map(|((place, unit), answer)| (place, unit, answer))
                .collect::<Vec<_>>()
        });
        done.extend(join_all(sending).await.into_iter().flatten());
        done
    }

    /// Finds out where the slots of refused units are served now. Those that are on their way are
    /// to be asked for where they go, which is returned.
    async fn look_again(
        &self,
        operation: Operation,
        refused: &[Answered],
        attempt: u32,
    ) -> HashMap<u16, Arc<Node>> {
        let mut asking = HashMap::new();
        let (mut moved, mut waits) = (false, false);
        for (_, unit, answer) in refused {
            match answer {
                Err(Failure::Ask(error)) => {
                    let host = error.redirect_node().and_then(|(host, _)| host.parse().ok());
                    if let Some(node) = host.and_then(|host| self.node(&host)) {
                        asking.insert(unit.slot, node);
                    }
                }
                Err(Failure::NotNow(_)) => waits = true,
                _ => moved = true,
            }
        }
        if moved && self.config.cluster {
            // A failure shows when the units are sent again.
            let _ = self.refresh(operation).await;
            waits |= attempt > 0;
        }
        if waits {
            sleep(PAUSE * (attempt + 1)).await;
        }
        asking
    }

    /// Asks several nodes who serves what, and believes the first that answers: what it has not
    /// heard of yet, it redirects to. Those who come while others ask take what they get.
    pub(crate) async fn refresh(&self, operation: Operation) -> Result<()> {
        let wanted = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at >= wanted) {
            return Ok(());
        }
        let asked = Instant::now();
        let asking = self.candidates().into_iter().map(|node| ask(node).boxed());
        let answer = select_ok(asking).await;
        // Also if nobody answered: those who waited would only find out the same, one by one.
        *refreshed = Some(asked);
        let (ranges, _) = answer.map_err(|failure| failure.into_error(operation))?;
        let topology = Topology::of(&ranges, |host| self.node(host));
        self.forget_all_but(&topology);
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(topology);
        Ok(())
    }

    /// Nodes to ask: some that are known and some that are configured, others each time, so that
    /// it does not depend on a few.
    fn candidates(&self) -> Vec<Arc<Node>> {
        let topology = self.topology();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut candidates: Vec<Arc<Node>> =
            rotated(&topology.nodes, turn).take(ASKED / 2).cloned().collect();
        let configured = rotated(&self.config.hosts, turn).filter_map(|host| self.node(host));
        for node in configured {
            if candidates.len() >= ASKED {
                break;
            }
            if !candidates.iter().any(|own| Arc::ptr_eq(own, &node)) {
                candidates.push(node);
            }
        }
        candidates
    }

    /// The node at an address, with the connections that it has.
    fn node(&self, host: &Host) -> Option<Arc<Node>> {
        let host = with_port(host);
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(&host.to_string()) {
            return Some(Arc::clone(node));
        }
        let node = Arc::new(Node::new(&self.config, vec![host]).ok()?);
        nodes.insert(node.address.clone(), Arc::clone(&node));
        Some(node)
    }

    /// The configured ones stay, since they are asked again.
    fn forget_all_but(&self, topology: &Topology) {
        let configured: Vec<_> =
            self.config.hosts.iter().map(|host| with_port(host).to_string()).collect();
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|address, node| {
            configured.contains(address)
                || topology.nodes.iter().any(|kept| Arc::ptr_eq(kept, node))
        });
    }
}

fn with_port(host: &Host) -> Host {
    Host { port: host.port.or(Some(DEFAULT_PORT)), ..host.clone() }
}

/// What travels to one node in one piece.
type Piece = (Arc<Node>, bool, Vec<(usize, Unit)>);
/// A unit that has been answered, with its place in the call.
type Answered = (usize, Unit, Result<Answer, Failure>);

/// Divides units by the nodes that serve them, or are asked for slots that are on their way.
fn divide(
    units: Vec<(usize, Unit)>,
    topology: &Topology,
    asking: &HashMap<u16, Arc<Node>>,
) -> (Vec<Piece>, Vec<Answered>) {
    let (mut pieces, mut not_served): (Vec<Piece>, Vec<Answered>) = Default::default();
    let mut open: HashMap<(usize, bool), usize> = HashMap::new();
    for (place, unit) in units {
        let asked = asking.get(&unit.slot);
        let Some(node) = asked.or_else(|| topology.node_of(unit.slot)) else {
            not_served.push((place, unit, Err(Failure::NotServed)));
            continue;
        };
        let key = (Arc::as_ptr(node).addr(), asked.is_some());
        let piece = open.get(&key).and_then(|at| pieces.get_mut(*at));
        match piece.filter(|(_, _, units)| units.len() < PIECE) {
            Some((_, _, units)) => units.push((place, unit)),
            None => {
                open.insert(key, pieces.len());
                pieces.push((Arc::clone(node), asked.is_some(), vec![(place, unit)]));
            }
        }
    }
    (pieces, not_served)
}

/// All of them, from another one on each turn.
fn rotated<T>(all: &[T], turn: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(turn % all.len().max(1)).take(all.len())
}

async fn ask(node: Arc<Node>) -> Result<Vec<(u16, u16, Host)>, Failure> {
    let connection = node.connection().await?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("CLUSTER").arg("SLOTS");
    let answers = connection.send(pipeline, Duration::ZERO).await?;
    let name = node.address.rsplit_once(':').map_or("", |(name, _)| name);
    let ranges = answers.values.first().and_then(|answer| parse_slots(answer, name));
    ranges.filter(|ranges| !ranges.is_empty()).ok_or(Failure::NotServed)
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("nodes", &self.topology().nodes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_node_is_asked_in_turn() {
        let url = "redis+cluster://c0,c1,c2,c3,c4,c5,n0";
        let config = Arc::new(RedisConfig::from_url(url).unwrap());
        let node = |host: &Host| Node::new(&config, vec![host.clone()]).ok().map(Arc::new);
        let host = |number| Host { name: format!("n{number}"), port: Some(DEFAULT_PORT) };
        let ranges: Vec<_> = (0..10).map(|number| (number, number, host(number))).collect();
        let network = Network {
            topology: RwLock::new(Arc::new(Topology::of(&ranges, node))),
            config: Arc::clone(&config),
            nodes: Mutex::default(),
            refreshed: AsyncMutex::new(None),
            turn: AtomicUsize::new(0),
        };
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let candidates = network.candidates();
            assert_eq!(candidates.len(), ASKED);
            asked.extend(candidates.iter().map(|node| node.address.clone()));
        }
        assert_eq!(asked.len(), 16, "{asked:?}");
    }
}
