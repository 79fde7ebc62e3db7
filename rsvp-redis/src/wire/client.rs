//! Sending commands to the nodes that serve their slots, wherever those are by now.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use redis::{Pipeline, cmd};
use rsvp_core::url::Host;
use rsvp_core::{Operation, Result};
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};

use crate::RedisConfig;
use crate::config::DEFAULT_PORT;
use crate::wire::failure::{Failure, connect_error};
use crate::wire::node::Node;
use crate::wire::request::{Answer, Unit, send};
use crate::wire::route::{Answered, Detour, Detours, divide};
use crate::wire::topology::{Topology, parse_slots};

/// How often what was refused before any effect is sent again, to where it is said to be served.
const REDIRECTIONS: u32 = 5;
/// How long to wait before that where waiting helps, growing with each time.
const PAUSE: Duration = Duration::from_millis(20);
/// How old a topology may be for those who look for a way around.
const FRESH: Duration = Duration::from_millis(50);
/// The nodes that are asked at once for the topology.
const ASKED: usize = 6;

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
    /// Whether the servers are being looked at, on behalf of calls that were given up.
    looking: AtomicBool,
}

impl Network {
    /// Connects, and in a cluster learns who serves what.
    pub(crate) async fn open(config: Arc<RedisConfig>) -> Result<Self> {
        let cluster = config.cluster;
        let topology = if cluster {
            Topology::of(&[], |_| None)
        } else {
            let no_node = |error| connect_error(Operation::Open, Arc::new(error));
            Topology::single(Node::new(&config, config.hosts.clone()).map_err(no_node)?)
        };
        let network = Self {
            config,
            topology: RwLock::new(Arc::new(topology)),
            nodes: Mutex::default(),
            refreshed: AsyncMutex::new(None),
            turn: AtomicUsize::new(0),
            looking: AtomicBool::new(false),
        };
        if cluster {
            network.refresh(Operation::Open, Duration::ZERO, &[]).await?;
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
        self: &Arc<Self>,
        operation: Operation,
        units: Vec<Unit>,
    ) -> Vec<Result<Answer, Failure>> {
        let mut watch = Watch { network: self, over: false };
        let mut answers: Vec<Option<Result<Answer, Failure>>> = Vec::new();
        answers.resize_with(units.len(), || None);
        let mut todo: Vec<(usize, Unit)> = units.into_iter().enumerate().collect();
        let mut detours = Detours::new();
        let began = Instant::now();
        for attempt in 0..=REDIRECTIONS {
            let last = attempt == REDIRECTIONS || began.elapsed() > self.config.response_timeout;
            let topology = self.topology();
            let mut refused = Vec::new();
            for (place, unit, answer) in self.round(todo, &topology, &detours).await {
                match answer {
                    Err(failure) if !last && failure.is_elsewhere() => {
                        refused.push((place, unit, failure));
                    }
                    answer => give(&mut answers, place, answer),
                }
            }
            if refused.is_empty() {
                break;
            }
            detours = self.look_again(operation, &topology, &refused, attempt).await;
            todo = Vec::new();
            for (place, unit, failure) in refused {
                if self.may_be_served(&failure, unit.slot, &topology) {
                    todo.push((place, unit));
                } else {
                    give(&mut answers, place, Err(failure));
                }
            }
        }
        watch.over = true;
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Failure::NotServed))).collect()
    }

    /// Sends each unit once.
    async fn round(
        &self,
        units: Vec<(usize, Unit)>,
        topology: &Topology,
        detours: &Detours,
    ) -> Vec<Answered> {
        let (pieces, mut done) = divide(units, topology, detours);
        let sending = pieces.into_iter().map(|(detour, piece)| async move {
            let (places, units): (Vec<usize>, Vec<Unit>) = piece.into_iter().unzip();
            let answers = send(&detour.node, &units, detour.asking).await;
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

    /// Finds out where the slots of refused units are served now, and returns where to go for
    /// those that a node has sent elsewhere.
    async fn look_again(
        &self,
        operation: Operation,
        topology: &Topology,
        refused: &[(usize, Unit, Failure)],
        attempt: u32,
    ) -> Detours {
        let (mut detours, mut suspects) = (Detours::new(), Vec::new());
        let (mut looks, mut waits) = (false, false);
        for (_, unit, failure) in refused {
            match failure {
                Failure::Ask(error) | Failure::Moved(error) => {
                    let asking = matches!(failure, Failure::Ask(_));
                    if let Some(node) = error.redirect_node().and_then(|to| self.target(to.0)) {
                        detours.insert(unit.slot, Detour { node, asking });
                    }
                    looks |= !asking;
                    waits |= attempt > 0;
                }
                failure if failure.passes() => waits = true,
                _ => {
                    suspects.extend(topology.node_of(unit.slot).cloned());
                    looks = true;
                }
            }
        }
        if looks && self.config.cluster {
            // A failure shows when the units are sent again.
            let _ = self.refresh(operation, FRESH, &suspects).await;
        }
        if waits {
            sleep(PAUSE * (attempt + 1)).await;
        }
        detours
    }

    /// The node that a redirection names. One without a name is the one that sent it, where there
    /// is nothing new to be had.
    fn target(&self, address: &str) -> Option<Arc<Node>> {
        let named = !address.starts_with([':', '?']);
        address.parse().ok().filter(|_| named).and_then(|host| self.node(&host))
    }

    /// Whether what was refused by the node of the old `topology` may be taken now.
    fn may_be_served(&self, failure: &Failure, slot: u16, topology: &Topology) -> bool {
        match failure {
            Failure::Ask(_) | Failure::Moved(_) => true,
            // Another of the hosts may be the primary by now.
            Failure::ReadOnly(_) if !self.config.cluster => true,
            failure if failure.passes() => true,
            _ => match (topology.node_of(slot), self.topology().node_of(slot)) {
                (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
                (None, Some(_)) => true,
                _ => false,
            },
        }
    }

    /// Asks several nodes who serves what, but not the `suspects` if there are others, and
    /// believes the first that answers. Those who come while others ask, or who are content with
    /// what was true so long ago, take what they get.
    pub(crate) async fn refresh(
        &self,
        operation: Operation,
        content: Duration,
        suspects: &[Arc<Node>],
    ) -> Result<()> {
        let wanted = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at >= wanted || at.elapsed() < content) {
            return Ok(());
        }
        let asked = Instant::now();
        let asking = self.candidates(suspects).into_iter().map(|node| ask(node).boxed());
        let answer = select_ok(asking).await;
        // Also if nobody answered: those who waited would only find out the same, one by one.
        *refreshed = Some(asked);
        let (ranges, _) = answer.map_err(|failure| failure.into_error(operation))?;
        let topology = Topology::of(&ranges, |host| self.node(host));
        self.forget_all_but(&topology);
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(topology);
        Ok(())
    }

    /// Finds out which servers do not answer any more, and who serves what instead.
    async fn look_at_all(&self) {
        let topology = self.topology();
        let look = |node: &Arc<Node>| {
            let node = Arc::clone(node);
            async move {
                let answers = send(&node, &[Unit::read(0, cmd("PING"))], false).await;
                answers.iter().any(Result::is_err).then_some(node)
            }
        };
        let silent = join_all(topology.nodes.iter().map(look)).await;
        let silent: Vec<_> = silent.into_iter().flatten().collect();
        if self.config.cluster && !silent.is_empty() {
            // The next call finds out the same.
            let _ = self.refresh(Operation::Ready, FRESH, &silent).await;
        }
    }

    /// Nodes to ask: some that are known and some that are configured, others each time, so that
    /// it does not depend on a few.
    fn candidates(&self, suspects: &[Arc<Node>]) -> Vec<Arc<Node>> {
        let topology = self.topology();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = rotated(&topology.nodes, turn).take(ASKED / 2).cloned();
        let configured = rotated(&self.config.hosts, turn).filter_map(|host| self.node(host));
        let mut candidates: Vec<Arc<Node>> = Vec::new();
        for node in known.chain(configured) {
            if candidates.len() < ASKED && !candidates.iter().any(|own| Arc::ptr_eq(own, &node)) {
                candidates.push(node);
            }
        }
        let is_suspect = |node: &Arc<Node>| suspects.iter().any(|one| Arc::ptr_eq(one, node));
        if candidates.iter().any(|node| !is_suspect(node)) {
            candidates.retain(|node| !is_suspect(node));
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

/// Leaves a look at the servers behind if a call is given up before it is over. A host whose
/// patience is shorter than the timeouts would otherwise never find out that a server is silent.
struct Watch<'a> {
    network: &'a Arc<Network>,
    over: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.over || self.network.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let network = Arc::clone(self.network);
        let look = async move {
            network.look_at_all().await;
            network.looking.store(false, Ordering::Release);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(look)),
            Err(_) => self.network.looking.store(false, Ordering::Release),
        }
    }
}

fn give<T>(answers: &mut [Option<T>], place: usize, answer: T) {
    if let Some(given) = answers.get_mut(place) {
        *given = Some(answer);
    }
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
            looking: AtomicBool::new(false),
        };
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let candidates = network.candidates(&[]);
            assert_eq!(candidates.len(), ASKED);
            asked.extend(candidates.iter().map(|node| node.address.clone()));
        }
        assert_eq!(asked.len(), 16, "{asked:?}");
    }
}
