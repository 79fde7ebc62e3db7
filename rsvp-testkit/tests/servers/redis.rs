//! The Redis servers that tests start.

use std::env;
use std::time::Duration;

use rsvp_testkit::servers::{Persistence, RedisCluster, RedisServer, ReplicatedRedis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::victim::{LIMIT, VICTIM, assert_gone, await_the_end, kill_the_owner, processes_in};

#[tokio::test]
async fn acknowledged_writes_outlive_a_kill_with_always_and_none_without_persistence() {
    for (persistence, kept) in [(Persistence::Always, "1"), (Persistence::None, "0")] {
        let server = RedisServer::builder().persistence(persistence).start().await;
        for n in ["a", "b", "c"] {
            server.command(&["SET", n, "value"]).await;
            server.restart().await;
            assert_eq!(server.command(&["EXISTS", n]).await, kept, "{persistence:?}");
        }
    }
}

#[tokio::test]
async fn a_stopped_server_keeps_what_every_second_has_not_written() {
    let server = RedisServer::builder().persistence(Persistence::EverySecond).start().await;
    server.command(&["SET", "a", "1"]).await;
    server.stop().await;
    server.start_again().await;
    assert_eq!(server.command(&["GET", "a"]).await, "1");
    server.flush().await;
    assert_eq!(server.command(&["DBSIZE"]).await, "0");
}

#[tokio::test]
async fn a_password_is_demanded_and_not_shown() {
    let builder = RedisServer::builder().password("a \"s3cret\\");
    assert!(!format!("{builder:?}").contains("s3cret"));
    let server = builder.start().await;
    assert!(server.url().contains(":a%20%22s3cret%5C@127.0.0.1"), "{}", server.url());
    assert_eq!(server.command(&["PING"]).await, "PONG");
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(b"GET a\r\n").await.unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"-NOAUTH");
    assert!(!format!("{server:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_dropped_server_leaves_no_process() {
    let server = RedisServer::start().await;
    let folder = server.folder().to_owned();
    assert_eq!(processes_in(&folder).len(), 1);
    drop(server);
    assert_eq!(processes_in(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_killed_test_process_leaves_no_server() {
    let folder =
        tokio::task::spawn_blocking(|| kill_the_owner("redis::victim_with_a_shared_server"));
    assert_gone(folder.await.unwrap().parent().unwrap()).await;
}

#[tokio::test]
#[ignore = "runs in a process of its own, which is killed"]
async fn victim_with_a_shared_server() {
    if env::var_os(VICTIM).is_some() {
        await_the_end(RedisServer::shared().await.folder());
    }
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_resumes() {
    let server = RedisServer::start().await;
    server.pause().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    assert!(timeout(Duration::from_millis(300), stream.read_u8()).await.is_err());
    server.resume().await;
    assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), b'+');
}

#[tokio::test]
async fn a_replica_follows_through_failovers() {
    let pair = ReplicatedRedis::start().await;
    for n in ["a", "b", "c"] {
        pair.primary().command(&["SET", n, "value"]).await;
        pair.wait_caught_up().await;
        assert_eq!(pair.replica().command(&["GET", n]).await, "value");
        let error = pair.replica().try_command(&["SET", n, "other"]).await.unwrap_err();
        assert!(error.contains("READONLY"), "{error}");
        let before = pair.primary().port();
        pair.fail_over().await;
        assert_eq!(pair.replica().port(), before);
        assert_eq!(pair.primary().command(&["GET", n]).await, "value");
    }
}

#[tokio::test]
async fn a_switch_over_keeps_both_servers_running() {
    let pair = RedisServer::builder().password("s3cret").start_replicated().await;
    let old = pair.primary();
    old.command(&["SET", "a", "value"]).await;
    pair.switch_over().await;
    assert_eq!(pair.replica().port(), old.port());
    let error = old.try_command(&["SET", "a", "other"]).await.unwrap_err();
    assert!(error.contains("READONLY"), "{error}");
    pair.primary().restart().await;
    pair.primary().command(&["SET", "a", "other"]).await;
    pair.wait_caught_up().await;
    assert_eq!(old.command(&["GET", "a"]).await, "other");
}

#[tokio::test]
async fn a_cluster_serves_all_slots_through_a_fail_over() {
    let cluster = RedisCluster::start().await;
    assert_eq!(cluster.primaries().await.len(), 3);
    for n in 0..20 {
        cluster.command(&["SET", &format!("key {n}"), "value"]).await;
    }
    let primary = cluster.primary_of("key 0").await;
    let replica = cluster.replica_of(primary).await;
    cluster.fail_over(primary).await;
    assert_eq!(cluster.primary_of("key 0").await.port(), replica.port());
    assert_eq!(cluster.replica_of(replica).await.port(), primary.port());
    cluster.command(&["SET", "key 0", "other"]).await;
    assert_eq!(cluster.command(&["GET", "key 0"]).await, "other");

    let primary = cluster.primary_of("key 0").await;
    primary.pause().await;
    cluster.wait_replaced(primary).await;
    primary.resume().await;
    cluster.wait_healthy().await;
    assert_ne!(cluster.primary_of("key 0").await.port(), primary.port());

    cluster.flush().await;
    for node in cluster.primaries().await {
        assert_eq!(node.command(&["DBSIZE"]).await, "0");
    }
}

#[tokio::test]
async fn a_dropped_cluster_with_a_password_leaves_no_process() {
    let cluster = RedisServer::builder()
        .password("s3cret")
        .persistence(Persistence::None)
        .start_cluster()
        .await;
    assert!(cluster.url().starts_with("redis+cluster://:s3cret@127.0.0.1:"));
    assert_eq!(cluster.command(&["SET", "a", "1"]).await, "OK");
    let folders: Vec<_> = cluster.nodes().iter().map(|node| node.folder().to_owned()).collect();
    drop(cluster);
    for folder in folders {
        assert_eq!(processes_in(&folder), Vec::<String>::new());
    }
}
