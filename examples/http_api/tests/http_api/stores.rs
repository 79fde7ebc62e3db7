//! The same service over every store.
#![allow(clippy::print_stdout, reason = "a seed is printed to be used again")]

#[cfg(feature = "postgres")]
use rsvp_testkit::servers::PostgresServer;
#[cfg(feature = "redis")]
use rsvp_testkit::servers::{Persistence, RedisCluster, RedisServer};

use crate::check::Plan;
use crate::service::{Service, command};

/// A random run of 4,000 operations by 16 connections, compared with the model.
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
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_random_run_over_http_and_postgres_matches_a_model() {
    let url = PostgresServer::shared().await.create_database().await;
    a_random_run_matches_a_model(&format!("{url}?migrate=true")).await;
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
