//! The ways by hand do what the scenarios ask of them, and leave nothing behind.

use std::time::Duration;

use rsvp_load::{Load, Plan, Scenario};

/// Runs every scenario by hand.
async fn every_scenario(url: &str) {
    let target = rsvp_load::by_hand::open(url).await.unwrap();
    for scenario in Scenario::ALL {
        let plan = Plan { events: 50, ..Plan::new(scenario, Duration::from_millis(300)) };
        let measured = Load::new(target.clone(), plan.with_callers(8)).run().await.unwrap();
        let wrong = (measured.failed(), measured.read_your_writes_misses);
        assert_eq!(wrong, (0, 0), "{scenario}: {:?}", measured.messages);
        assert!(measured.messages.is_empty(), "{scenario}: {:?}", measured.messages);
        assert!(measured.completed() > 0, "{scenario}");
    }
    target.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    every_scenario("memory:").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rsvp.db");
    every_scenario(&format!("sqlite:{}?coalesce=true", file.display())).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let server = rsvp_testkit::servers::RedisServer::start().await;
    every_scenario(&format!("{}?coalesce=true", server.url())).await;
    assert_eq!(server.command(&["DBSIZE"]).await.trim(), "0");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let server = rsvp_testkit::servers::PostgresServer::shared().await;
    let url = server.create_database().await;
    every_scenario(&format!("{url}?pool_size=4&migrate=true")).await;
    let sql = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'load%'";
    assert_eq!(server.execute_in(&url, sql).await.trim(), "0");
}

#[tokio::test]
async fn a_store_without_a_way_by_hand_says_so() {
    let error = rsvp_load::by_hand::open("redis+cluster://a,b").await.unwrap_err();
    assert!(error.to_string().contains("one host"), "{error}");
    let error = rsvp_load::by_hand::open("dynamo://a").await.unwrap_err();
    assert!(error.to_string().contains("no way by hand for dynamo"), "{error}");
}
