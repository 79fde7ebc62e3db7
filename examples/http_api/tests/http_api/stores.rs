//! The same service over every store.
#![allow(clippy::print_stdout, reason = "a seed is printed to be used again")]

#[cfg(feature = "postgres")]
use rsvp_testkit::servers::PostgresServer;
#[cfg(feature = "redis")]
use rsvp_testkit::servers::{Persistence, RedisCluster, RedisServer};

use crate::service::{Service, command, get};
use rsvp_load::check::{Plan, World};

/// A random run of 4,000 operations by 16 connections, compared with the model. The service then
/// answers counts to those without a session as well.
async fn a_random_run_matches_a_model(store: &str) {
    let service =
        Service::start_with(command().args(["--listen", "127.0.0.1:0", "--store", store]));
    let seed = rsvp_testkit::seed();
    println!("seed {seed}");
    let plan = Plan {
        address: service.address.clone(),
        operations: 4000,
        connections: 16,
        users: 200,
        events: 20,
        seed,
        prefix: "run".to_owned(),
    };
    let report = plan.run().await.unwrap();
    println!("{report}");
    assert_eq!(report.differences(), 0);

    let mut client = service.client().await;
    for event in World::new("run", 0, 20).events {
        let count = format!("/events/{}/rsvp_count", event.name.segment);
        let anybody = get(&mut client, &count).await;
        let strong = [("RSVP-Session", b"r1".as_slice())];
        let writer = client.send(hyper::Method::GET, &count, &strong).await.unwrap();
        assert_eq!(anybody.json["count"], writer.json["count"], "{}", event.name.id);
        assert!(anybody.json["count"].is_u64(), "{anybody:?}");
    }
}

/// Every write goes through the same cache, so counts from memory are exact as well.
#[tokio::test]
async fn a_random_run_over_http_and_layers_matches_a_model() {
    a_random_run_matches_a_model("memory:?observe=db&coalesce=true&count_cache=5s").await;
}

#[tokio::test]
async fn a_random_run_over_http_and_shards_matches_a_model() {
    let shards = "a=memory: b*2=memory: c=memory: \
                  ?spread=2&timeout=5s&retry=2s&limit=64&coalesce=true&count_cache=5s";
    a_random_run_matches_a_model(shards).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_random_run_over_http_and_postgres_matches_a_model() {
    let url = PostgresServer::shared().await.create_database().await;
    a_random_run_matches_a_model(&format!("{url}?migrate=true")).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_random_run_over_http_layers_and_postgres_matches_a_model() {
    let url = PostgresServer::shared().await.create_database().await;
    let layers = "migrate=true&timeout=9s&retry=2s&coalesce=true&count_cache=5s";
    a_random_run_matches_a_model(&format!("{url}?{layers}")).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_random_run_over_http_and_redis_matches_a_model() {
    a_random_run_matches_a_model(&RedisServer::shared().await.url()).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_random_run_over_http_and_redis_cluster_matches_a_model() {
    let url = RedisCluster::shared().await.url();
    a_random_run_matches_a_model(&format!("{url}?event_spread=4")).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_random_run_over_http_and_a_file_matches_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}/rsvp.db", folder.path().display());
    a_random_run_matches_a_model(&file).await;
    a_random_run_matches_a_model(&format!("{file}-other?coalesce=true&count_cache=5s")).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_server_that_keeps_nothing_is_warned_of() {
    let server = RedisServer::builder().persistence(Persistence::None).start().await;
    let mut service = Service::start_with(
        command()
            .args(["--listen", "127.0.0.1:0", "--store", &server.url()])
            .stderr(std::process::Stdio::piped()),
    );
    service.signal(nix::sys::signal::Signal::SIGTERM);
    service.end().await;
    let stderr = service.stderr();
    assert!(stderr.contains("keeps nothing") && stderr.contains("WARN"), "{stderr}");
}

/// A pipe holds 64 KiB, which is some hundred lines.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_service_whose_stderr_nobody_reads_goes_on() {
    let server = RedisServer::builder().start().await;
    let mut service = Service::start_with(
        command()
            .args(["--listen", "127.0.0.1:0", "--shutdown-seconds", "1"])
            .args(["--store", &server.url()])
            .stderr(std::process::Stdio::piped()),
    );
    server.kill().await;
    let failures = async {
        let mut client = service.client().await;
        for n in 0..3000 {
            let answer = crate::service::rsvp(&mut client, "fair", &n.to_string()).await;
            assert!(answer.status.is_server_error(), "{answer:?}");
        }
        assert_eq!(get(&mut client, "/healthz").await.status, 200);
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, failures).await.expect("every request is answered");

    let unfinished = "POST /events/1/rsvp HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    let _in_flight = crate::raw::connect(&service.address, unfinished).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    service.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(service.end().await.code(), Some(1), "it says so, and ends though nobody listens");
}
