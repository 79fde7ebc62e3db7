//! A Redis Cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::config::Options;
use super::node::Node;
use super::server::RedisServer;
use super::topology::Member;
use crate::servers::client;
use crate::servers::wait::{blocking, wait_until};

/// The fewest primaries of a cluster with failovers. Each has a replica.
const PRIMARIES: usize = 3;
const NODES: usize = 2 * PRIMARIES;

const CREATE_LIMIT: Duration = Duration::from_secs(60);
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
const AGREE_LIMIT: Duration = Duration::from_secs(60);

/// A Redis Cluster of six nodes: three primaries with a replica each.
///
/// After two seconds of silence a node counts as failed, and its replica is promoted.
/// The other slots are served even if some have no primary (`cluster-require-full-coverage no`).
/// Each node keeps its port, but roles change.
///
/// ```no_run
/// use rsvp_testkit::servers::RedisCluster;
///
/// # #[tokio::main]
/// # async fn main() {
/// let cluster = RedisCluster::start().await;
/// let primary = cluster.primary_of("{101a}").await;
/// cluster.fail_over(primary).await;
/// println!("{}", cluster.url());
/// # }
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts a cluster that keeps every acknowledged write and asks for no password.
    pub async fn start() -> Self {
        RedisServer::builder().start_cluster().await
    }

    /// Returns the cluster shared by all tests of this process, as [`RedisServer::shared`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<RedisCluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    pub(super) async fn start_with(chosen: Options) -> Self {
        let mut options = Options { settings: Vec::new(), ..chosen };
        options.set("cluster-enabled", "yes");
        options.set("cluster-node-timeout", "2000");
        options.set("cluster-require-full-coverage", "no");
        // A replica after a long partition is still better than none.
        options.set("cluster-replica-validity-factor", "0");
        options.settings.extend(chosen.settings);
        let nodes = blocking(move || {
            let nodes: Vec<Node> = (0..NODES).map(|_| Node::start(&options, None)).collect();
            create(&nodes);
            nodes.into_iter().map(RedisServer::from).collect()
        });
        let cluster = Self { nodes: nodes.await };
        cluster.wait_healthy().await;
        cluster
    }

    /// Returns all nodes in a fixed order.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Returns the URL `redis+cluster://127.0.0.1:1,127.0.0.1:2,…` of all nodes,
    /// with the password if any.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        let credentials = self.nodes.first().map(RedisServer::credentials).unwrap_or_default();
        let scheme = self.nodes.first().map_or("redis", RedisServer::scheme);
        format!("{scheme}+cluster://{credentials}{}", hosts.join(","))
    }

    /// Returns the nodes with slots, as seen by the first running node.
    pub async fn primaries(&self) -> Vec<&RedisServer> {
        let view = self.view().await;
        view.iter().filter(|member| member.serves_any()).map(|member| self.node(member)).collect()
    }

    /// Returns the slot owner of a key.
    ///
    /// Panics if there is none.
    pub async fn primary_of(&self, key: &str) -> &RedisServer {
        let key = key.to_owned();
        let slot = self.on_running(move |node| node.must(&["CLUSTER", "KEYSLOT", &key])).await;
        let slot: u16 = slot.parse().expect("a slot is a number");
        let view = self.view().await;
        let primary = view.iter().find(|member| member.serves(slot));
        self.node(primary.unwrap_or_else(|| panic!("no node serves slot {slot}")))
    }

    /// Returns the replica of a primary.
    ///
    /// Panics if there is none.
    pub async fn replica_of(&self, primary: &RedisServer) -> &RedisServer {
        let view = self.view().await;
        let replica =
            view.iter().find(|member| member.port == primary.port()).and_then(|primary| {
                view.iter().find(|member| member.is_replica_of(primary) && !member.is_failing)
            });
        self.node(replica.unwrap_or_else(|| panic!("{primary:?} has no replica")))
    }

    /// Runs one command on the slot owner of its key, as [`RedisServer::command`] does.
    pub async fn command(&self, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.on_running(move |node| {
            let mut client = node.client();
            // `-c` makes the client follow redirections to the slot owner.
            client.arg("-c").args(&words);
            let answer = client::run(client, "", COMMAND_LIMIT);
            answer.unwrap_or_else(|error| panic!("{error}")).trim_end().to_owned()
        })
        .await
    }

    /// Removes all keys of all nodes.
    pub async fn flush(&self) {
        for primary in self.primaries().await {
            primary.flush().await;
        }
    }

    /// Kills a primary with SIGKILL, waits until its replica has taken over,
    /// and starts the killed node again as the replica.
    pub async fn fail_over(&self, primary: &RedisServer) {
        primary.kill().await;
        self.wait_replaced(primary).await;
        primary.start_again().await;
        self.wait_healthy().await;
    }

    /// Waits until all running nodes agree that a killed or paused primary owns no slots any more.
    pub async fn wait_replaced(&self, primary: &RedisServer) {
        let port = primary.port();
        self.wait_until_all("a promotion", move |node| {
            let view = view_of(node);
            // All slots are served again, and none of them by the old primary.
            node.field(&["CLUSTER", "INFO"], "cluster_slots_ok").as_deref() == Some("16384")
                && view.iter().all(|member| member.port != port || !member.serves_any())
        })
        .await;
    }

    /// Waits until all nodes run, see all others, serve all slots, and each primary has a replica.
    pub async fn wait_healthy(&self) {
        assert!(
            self.nodes.iter().all(|node| node.node.process().is_running()),
            "a node that is killed or paused cannot become healthy"
        );
        self.wait_until_all("a healthy cluster", is_healthy).await;
    }

    async fn wait_until_all(
        &self,
        what: &'static str,
        condition: impl Fn(&Node) -> bool + Send + 'static,
    ) {
        let nodes = self.running();
        blocking(move || {
            // Every node has its own view, and a client may ask any of them. So all must agree.
            wait_until(what, AGREE_LIMIT, || nodes.iter().all(|node| condition(node)));
        })
        .await;
    }

    /// Returns the cluster as seen by the first running node.
    async fn view(&self) -> Vec<Member> {
        self.on_running(view_of).await
    }

    async fn on_running<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> T {
        let node = self.running().into_iter().next().expect("a running node");
        blocking(move || work(&node)).await
    }

    fn running(&self) -> Vec<Arc<Node>> {
        let nodes = self.nodes.iter().map(|node| &node.node);
        nodes.filter(|node| node.process().is_running()).map(Arc::clone).collect()
    }

    fn node(&self, member: &Member) -> &RedisServer {
        let mut nodes = self.nodes.iter();
        nodes.find(|node| node.port() == member.port).expect("a member is one of the nodes")
    }
}

fn view_of(node: &Node) -> Vec<Member> {
    Member::parse_all(&node.must(&["CLUSTER", "NODES"]))
}

fn is_healthy(node: &Node) -> bool {
    let view = view_of(node);
    let primaries: Vec<&Member> = view.iter().filter(|member| member.serves_any()).collect();
    let replicated = |primary: &&Member| {
        primary.is_primary && view.iter().any(|member| member.is_replica_of(primary))
    };
    let info = |name| node.field(&["CLUSTER", "INFO"], name).unwrap_or_default();
    // A replica counts only with its link up, or a failover would lose acknowledged writes.
    let is_replica = primaries.iter().all(|primary| primary.port != node.port());
    view.len() == NODES
        && view.iter().all(|member| !member.is_failing)
        && primaries.len() == PRIMARIES
        && primaries.iter().all(replicated)
        && info("cluster_state") == "ok"
        && info("cluster_slots_ok") == "16384"
        && (!is_replica || node.follows())
}

/// Joins empty nodes to a cluster.
fn create(nodes: &[Node]) {
    let Some(first) = nodes.first() else { return };
    let mut create = first.client();
    create.args(["--cluster", "create"]);
    create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
    create.args(["--cluster-replicas", "1", "--cluster-yes"]);
    client::run(create, "", CREATE_LIMIT).unwrap_or_else(|error| panic!("{error}"));
}
