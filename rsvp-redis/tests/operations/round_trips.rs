//! The number of round trips does not depend on the number of entries.

use crate::support::{eventually, open, prefix};
use rsvp_core::Operation;
use rsvp_testkit::servers::{Cost, Proxy, RedisCluster, RedisServer, round_trips};

const ENTRIES: [usize; 3] = [1, 1_000, 10_000];

/// The costs do not depend on the number of entries, and these are the round trips of one node.
fn assert_fixed(costs: &[Cost], expected: &[(Operation, usize)]) {
    for cost in costs {
        println!("{cost:?}");
        assert!(cost.is_fixed(), "{cost:?}");
    }
    let longest: Vec<_> = costs.iter().map(|cost| (cost.operation, cost.longest())).collect();
    assert_eq!(longest, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_the_round_trips_of_one_entry_and_a_page_those_of_one() {
    let proxy = Proxy::start(RedisServer::shared().await.port()).await;
    let store = open(&format!("redis://127.0.0.1:{}?prefix={}", proxy.port(), prefix())).await;
    let costs = round_trips(&store, &[&proxy], &ENTRIES).await;
    let expected = [
        (Operation::Write, 1),
        (Operation::HasRsvped, 1),
        (Operation::RsvpCount, 1),
        (Operation::Attendees, 1),
        (Operation::EventsOf, 1),
    ];
    assert_fixed(&costs, &expected);
}

/// Each node tells the port of a proxy in place of its own.
async fn announce(nodes: &[&RedisServer]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for node in nodes {
        let proxy = Proxy::start(node.port()).await;
        let port = proxy.port().to_string();
        node.command(&["CONFIG", "SET", "cluster-announce-port", &port]).await;
        proxies.push(proxy);
    }
    for node in nodes {
        eventually("every node to be behind its proxy", async || {
            let slots = node.command(&["CLUSTER", "SLOTS"]).await;
            let told = |proxy: &Proxy| slots.lines().any(|line| line == proxy.port().to_string());
            proxies.iter().all(told)
        })
        .await;
    }
    proxies
}

/// A write takes three: the events, the users, and the events again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_each_node_of_a_cluster_the_round_trips_of_one_entry() {
    let cluster = RedisCluster::start().await;
    let primaries = cluster.primaries().await;
    // A replica would follow its primary through the proxy.
    for primary in &primaries {
        cluster.replica_of(primary).await.kill().await;
    }
    let proxies = announce(&primaries).await;
    let hosts: Vec<_> = proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
    let store = open(&format!("redis+cluster://{}?connections=1", hosts.join(","))).await;
    let costs = round_trips(&store, &proxies.iter().collect::<Vec<_>>(), &ENTRIES).await;
    let expected = [
        (Operation::Write, 3),
        (Operation::HasRsvped, 1),
        (Operation::RsvpCount, 1),
        (Operation::Attendees, 1),
        (Operation::EventsOf, 1),
    ];
    assert_fixed(&costs, &expected);
}
