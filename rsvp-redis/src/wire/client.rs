//! The cluster client sends every request to the owner of its slot, and follows moving slots.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use redis::cmd;
use rsvp_core::{Operation, Result};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::config::RedisConfig;
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::node::Node;
use crate::wire::redirect::{NextAttempt, Redirects, Refused, is_worth_repeating};
use crate::wire::request::{Answer, Dispatch, Request};
use crate::wire::route::{Answered, NodeBatch, by_node, route};
use crate::wire::topology::Topology;
use crate::wire::topology_refresh::TopologyRefresh;

/// The most repetitions of a request. Only a request refused before any effect is repeated.
pub(super) const MAX_REDIRECTIONS: u32 = 5;
/// The most concurrent batches of one call to one node.
const BATCHES_IN_FLIGHT: usize = 4;
/// The age up to which a topology is good enough after a refusal. Younger ones are not refreshed.
const MAX_TOPOLOGY_AGE: Duration = Duration::from_millis(50);

/// The call of the probes.
const PROBE: Call = Call::unbounded(Operation::Ready);

/// The servers of a cluster, or a single primary as a cluster of one node. Clones share the
/// connections.
#[derive(Clone)]
pub(crate) struct ClusterClient {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<RedisConfig>,
    topology_refresh: TopologyRefresh,
    /// Whether the nodes are being probed on behalf of dropped calls.
    probing: AtomicBool,
}

impl ClusterClient {
    /// Connects. In a cluster, learns the owners of the slots.
    pub(crate) async fn open(config: Arc<RedisConfig>) -> Result<Self> {
        let topology = if config.cluster {
            Topology::empty()
        } else {
            let node = Node::new(&config, config.hosts.clone(), Arc::default());
            let node = node.map_err(|error| Arc::new(error).into_error(Operation::Open))?;
            Topology::single(node.address.clone(), Arc::new(node))
        };
        let topology_refresh = TopologyRefresh::new(Arc::clone(&config), topology);
        let shared = Shared { config, topology_refresh, probing: AtomicBool::new(false) };
        let client = Self { shared: Arc::new(shared) };
        if client.is_cluster() {
            client.refresh_topology(Call::unbounded(Operation::Open)).await?;
        } else if let Some(node) = client.topology().nodes.first() {
            let connected = node.connection(Call::unbounded(Operation::Open)).await;
            connected.map_err(|failure| failure.into_error(Operation::Open))?;
        }
        Ok(client)
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.shared.config
    }

    /// The owners of the slots, as far as they are known.
    pub(crate) fn topology(&self) -> Arc<Topology<Node>> {
        self.shared.topology_refresh.topology()
    }

    /// Asks the nodes for the owners of the slots.
    pub(crate) async fn refresh_topology(&self, call: Call) -> Result<()> {
        self.shared.topology_refresh.refresh_topology(call, Duration::ZERO, &[]).await
    }

    /// As [`refresh_topology`](Self::refresh_topology), with the failure as it is.
    pub(super) async fn refresh(&self, call: Call) -> Result<(), Failure> {
        self.shared.topology_refresh.refresh_within(call, Duration::ZERO, &[]).await
    }

    /// Closes the connections. The client has no node to send to any more.
    pub(crate) fn close(&self) {
        self.shared.topology_refresh.clear();
    }

    /// The owners of all slots, refreshed in a cluster.
    ///
    /// # Errors
    ///
    /// If a slot has no owner.
    pub(crate) async fn complete_topology(&self, call: Call) -> Result<Arc<Topology<Node>>> {
        if self.is_cluster() {
            self.refresh_topology(call).await?;
        }
        let topology = self.topology();
        if topology.is_complete() {
            Ok(topology)
        } else {
            Err(Failure::NoOwner.into_error(call.operation))
        }
    }

    /// Sends each request once, to all nodes at once.
    async fn attempt(
        &self,
        call: Call,
        requests: Vec<(usize, Request)>,
        topology: &Topology<Node>,
        redirects: &Redirects<Node>,
    ) -> Vec<Answered> {
        let (batches, mut answered) = route(requests, topology, redirects);
        let sent = by_node(batches).into_iter().map(|batches| send_to_node(call, batches));
        answered.extend(join_all(sent).await.into_iter().flatten());
        answered
    }

    /// Refreshes the topology and pauses as the refusals demand, and returns the redirects for the
    /// next attempt.
    pub(super) async fn prepare_next_attempt(
        &self,
        call: Call,
        refused: &[Refused],
        topology: &Topology<Node>,
        attempt: u32,
    ) -> Redirects<Node> {
        let topology_refresh = &self.shared.topology_refresh;
        let next =
            NextAttempt::after(refused, topology, attempt, |host| topology_refresh.node_at(host));
        if next.refresh && self.is_cluster() {
            // A failure shows when the requests are sent again.
            let _ = topology_refresh.refresh_topology(call, MAX_TOPOLOGY_AGE, &next.excluded).await;
        }
        if let Some(pause) = next.pause {
            sleep_until(call.end_of(pause)).await;
        }
        next.redirects
    }

    /// Finds silent nodes, and the new owners of their slots.
    async fn probe_nodes(&self) {
        let topology = self.topology();
        let probe = |node: &Arc<Node>| {
            let node = Arc::clone(node);
            async move {
                let ping = [Request::read(0, cmd("PING"))];
                let answers = node.send(PROBE, &ping, false).await;
                answers.iter().any(Result::is_err).then_some(node)
            }
        };
        let silent = join_all(topology.nodes.iter().map(probe)).await;
        let silent: Vec<_> = silent.into_iter().flatten().collect();
        if self.is_cluster() && !silent.is_empty() {
            let topology_refresh = &self.shared.topology_refresh;
            // A failure shows with the next call.
            let _ = topology_refresh.refresh_topology(PROBE, MAX_TOPOLOGY_AGE, &silent).await;
        }
    }
}

impl Dispatch for ClusterClient {
    fn is_cluster(&self) -> bool {
        self.shared.config.cluster
    }

    /// Sends every request to the owner of its slot, all nodes at once.
    ///
    /// A request is sent again, to the new owner of its slot, only after a certain refusal. After a
    /// possible effect it is not sent again, because its outcome would differ.
    async fn run(&self, call: Call, requests: Vec<Request>) -> Vec<Result<Answer, Failure>> {
        // Before the first step: if the caller drops this future, the guard probes the nodes.
        let mut guard = ProbeIfGivenUp { client: self, over: false };
        let mut answers: Vec<Option<Result<Answer, Failure>>> = Vec::new();
        answers.resize_with(requests.len(), || None);
        let mut pending: Vec<(usize, Request)> = requests.into_iter().enumerate().collect();
        let mut redirects = Redirects::new();
        let began = Instant::now();
        for attempt in 0..=MAX_REDIRECTIONS {
            // Step 1: send each pending request once, by the topology and the redirects of this
            // moment. The attempt is the last one after MAX_REDIRECTIONS repetitions, after the
            // response timeout, or at the deadline. Its refusals are final.
            let timeout = self.shared.config.response_timeout;
            let last = attempt == MAX_REDIRECTIONS || began.elapsed() > timeout || call.is_late();
            let topology = self.topology();
            let answered = self.attempt(call, pending, &topology, &redirects).await;
            // Step 2: keep final answers, and set aside refused requests that another node may
            // accept. A failure with a possible effect is final, since a repetition would find its
            // own effect and report no change.
            let mut refused = Vec::new();
            for Answered { index, request, answer } in answered {
                match answer {
                    Err(failure) if !last && failure.is_reroutable() => {
                        refused.push(Refused { index, request, failure });
                    }
                    answer => set(&mut answers, index, answer),
                }
            }
            if refused.is_empty() {
                break;
            }
            // Step 3: prepare the next attempt. MOVED and ASK name the node to send to. After
            // MOVED, or if a node failed, refresh the topology. While keys migrate, or while two
            // nodes redirect to each other, pause.
            redirects = self.prepare_next_attempt(call, &refused, &topology, attempt).await;
            // Step 4: repeat only requests with another node to go to, or with a node that may
            // accept them by now. The others would meet the same failure, so they keep it as their
            // answer.
            let now = self.topology();
            let (again, failed): (Vec<_>, Vec<_>) = refused.into_iter().partition(|refused| {
                is_worth_repeating(refused, &topology, &now, self.is_cluster())
            });
            pending = again.into_iter().map(|again| (again.index, again.request)).collect();
            for Refused { index, failure, .. } in failed {
                set(&mut answers, index, Err(failure));
            }
        }
        // Step 5: decide whether the nodes are probed. A deadline may be too short to tell a slow
        // server from a silent one, and a probe has the whole response timeout.
        guard.over =
            !answers.iter().flatten().any(|answer| matches!(answer, Err(Failure::Late(_))));
        // Step 6: return the answers in the order of the requests.
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Failure::NoOwner))).collect()
    }
}

/// Sends batches to their node, a few at once.
async fn send_to_node(call: Call, batches: Vec<NodeBatch<Node>>) -> Vec<Answered> {
    let sent = stream::iter(batches).map(|batch| send(call, batch));
    sent.buffer_unordered(BATCHES_IN_FLIGHT).concat().await
}

/// Sends a batch to its node.
async fn send(call: Call, NodeBatch { to, requests, .. }: NodeBatch<Node>) -> Vec<Answered> {
    let (indexes, requests): (Vec<usize>, Vec<Request>) = requests.into_iter().unzip();
    let answers = to.node.send(call, &requests, to.asking).await;
    let numbered = indexes.into_iter().zip(requests).zip(answers);
    numbered.map(|((index, request), answer)| Answered { index, request, answer }).collect()
}

fn set<T>(answers: &mut [Option<T>], index: usize, answer: T) {
    if let Some(place) = answers.get_mut(index) {
        *place = Some(answer);
    }
}

/// Probes the nodes if a call is dropped before it is over, or ends at its deadline. A host may
/// give calls up earlier than the store's timeouts. Without the probe it would never find a silent
/// server.
struct ProbeIfGivenUp<'a> {
    client: &'a ClusterClient,
    over: bool,
}

impl Drop for ProbeIfGivenUp<'_> {
    fn drop(&mut self) {
        if self.over || self.client.shared.probing.swap(true, Ordering::AcqRel) {
            return;
        }
        // At most one probe at a time. The flag is reset when it is over, or if it cannot begin.
        let client = self.client.clone();
        let probe = async move {
            client.probe_nodes().await;
            client.shared.probing.store(false, Ordering::Release);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(probe)),
            Err(_) => self.client.shared.probing.store(false, Ordering::Release),
        }
    }
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClient")
            .field("nodes", &self.topology().nodes)
            .finish_non_exhaustive()
    }
}
