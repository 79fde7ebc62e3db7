//! A store that is closed finishes its calls, and lets go of its connections.

use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::{
    Error, EventId, Operation, PageRequest, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_the_calls_under_way_and_refuses_later_ones() {
    let server = PostgresServer::start().await;
    let url = server.url("postgres");
    let config =
        PostgresConfig::from_url(&format!("{url}?migrate=true&pool_size=3&lock_timeout=60s"))
            .unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    let fair = EventId::new("fair").unwrap();
    store.maintenance().unwrap().audit().await.unwrap();

    // Eight calls on two connections, all behind a lock. The third is left to reads.
    let mut lock = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE rsvp.counts").execute(&mut lock).await.unwrap();
    let mut calls = JoinSet::new();
    for user in 0..8_u32 {
        let (store, fair) = (store.clone(), fair.clone());
        calls.spawn(async move { store.rsvp(&UserId::from(user), &fair).await });
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    timeout(Duration::from_secs(20), async {
        while server.execute(waiting).await.trim() != "2" {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let mut closing = Box::pin(store.close());
    assert!(closing.as_mut().now_or_never().is_none(), "calls are under way");

    let later = store.rsvp(&UserId::from(99), &fair).await.unwrap_err();
    assert!(matches!(later, Error::Closed { operation: Operation::Write, .. }), "{later:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    closing.await.unwrap();
    for written in calls.join_all().await {
        assert!(written.unwrap().outcome.is_applied());
    }

    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rsvp%'";
    timeout(Duration::from_secs(20), async {
        while server.execute(connections).await.trim() != "0" {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let closed = [
        store.ready().await.unwrap_err(),
        store.rsvp_count(&fair).await.unwrap_err(),
        store.scan_page(&PageRequest::default()).await.unwrap_err(),
        store.remove_event(&fair).await.unwrap_err(),
        store.maintenance().unwrap().audit().await.unwrap_err(),
    ];
    for error in closed {
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
    }
    store.close().await.unwrap();
    let rows = server.execute("SELECT count(*) FROM rsvp.rsvps").await;
    assert_eq!(rows.trim(), "8");
}

/// A batch whose statement is refused, and divided, after the store began to close.
#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_all_statements_of_a_batch() {
    let server = PostgresServer::start().await;
    let url = server.url("postgres");
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true")).unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    server.execute("ALTER TABLE rsvp.rsvps ADD CHECK (user_id <> '7')").await;
    let fair = EventId::new("fair").unwrap();

    let mut lock = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE rsvp.rsvps").execute(&mut lock).await.unwrap();
    let call = tokio::spawn({
        let (store, fair) = (store.clone(), fair.clone());
        let writes: Vec<_> =
            (0..10_u32).map(|user| Write::rsvp(UserId::from(user), fair.clone())).collect();
        async move { store.write_batch(&writes, &WriteOptions::default()).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    timeout(Duration::from_secs(20), async {
        while server.execute(waiting).await.trim() != "1" {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let mut closing = Box::pin(store.close());
    assert!(closing.as_mut().now_or_never().is_none(), "a batch is under way");

    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    closing.await.unwrap();
    for (user, result) in (0..).zip(call.await.unwrap().unwrap().results) {
        assert_eq!(result.is_ok(), user != 7, "{user}: {result:?}");
    }
}
