//! The costs and the remains of removals and cancels.

use rsvp_core::{EventId, PageLimit, RsvpStore, RsvpStoreExt, UserId, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

async fn fresh(parameters: &str) -> (PostgresStore, String) {
    let url = PostgresServer::shared().await.create_database().await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&{parameters}")).unwrap();
    (PostgresStore::open(config).await.unwrap(), url)
}

async fn number(url: &str, sql: &str) -> u64 {
    let answer = PostgresServer::shared().await.execute_in(url, sql).await;
    answer.trim().parse().unwrap()
}

/// An old snapshot keeps the index entries of removed rows. A step from the first user on would
/// read all entries of the steps before it.
#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_a_removal_does_not_grow_with_the_steps_before_it() {
    const USERS: u64 = 30_000;
    let (store, url) = fresh("pool_size=2").await;
    let fill = format!(
        "INSERT INTO rsvp.rsvps SELECT 'fair', to_char(n, 'FM000000') FROM generate_series(1, {USERS}) n;
         INSERT INTO rsvp.counts VALUES ('fair', 0, {USERS})"
    );
    PostgresServer::shared().await.execute_in(&url, &fill).await;
    let mut old = PgConnection::connect(&url).await.unwrap();
    let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM rsvp.counts";
    sqlx::raw_sql(snapshot).execute(&mut old).await.unwrap();

    let fair = EventId::new("fair").unwrap();
    let (limit, options) = (PageLimit::new(500).unwrap(), WriteOptions::default());
    let mut removed = 0;
    loop {
        let step = store.remove_event_step(&fair, limit, &options).await.unwrap();
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    assert_eq!(removed, USERS);
    // Sessions report their statistics when they end.
    store.close().await.unwrap();
    let read = number(
        &url,
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE indexrelname LIKE 'rsvps%'",
    )
    .await;
    println!("{USERS} users, {read} index entries read");
    assert!(read <= 6 * USERS, "{read} index entries were read");
    drop(old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_takes_those_that_come_behind_it() {
    let (store, url) = fresh("pool_size=2").await;
    let fair = EventId::new("fair").unwrap();
    for user in ["b", "c", "d", "e"] {
        store.rsvp(&UserId::new(user).unwrap(), &fair).await.unwrap();
    }
    let (limit, options) = (PageLimit::new(2).unwrap(), WriteOptions::default());
    // A removal that is given up after its first step, and a later one.
    let step = store.remove_event_step(&fair, limit, &options).await.unwrap();
    assert_eq!((step.removed, step.more), (2, true));
    store.rsvp(&UserId::new("a").unwrap(), &fair).await.unwrap();
    assert_eq!(store.remove_event(&fair).await.unwrap().removed, 3);
    assert_eq!(store.rsvp_count(&fair).await.unwrap().value, 0);
    assert_eq!(number(&url, "SELECT count(*) FROM rsvp.rsvps").await, 0);
    assert_eq!(number(&url, "SELECT count(*) FROM rsvp.counts").await, 0);
}

/// Each event of the user loses its last RSVP, and its counts in two slots. A plan with a nested
/// loop over the events and the slots took ten times the statement timeout.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_guest_of_thousands_of_events_is_removed_in_one_step() {
    const EVENTS: u64 = 5000;
    let (store, url) = fresh("pool_size=2&statement_timeout=2s").await;
    let fill = format!(
        "INSERT INTO rsvp.rsvps SELECT 'event ' || n, 'ann' FROM generate_series(1, {EVENTS}) n;
         INSERT INTO rsvp.counts
         SELECT 'event ' || n, 100 + slot, slot FROM generate_series(1, {EVENTS}) n, generate_series(0, 1) slot"
    );
    PostgresServer::shared().await.execute_in(&url, &fill).await;
    let (ann, options) = (UserId::new("ann").unwrap(), WriteOptions::default());
    let step = store.remove_user_step(&ann, PageLimit::MAX, &options).await.unwrap();
    assert_eq!(step.removed, EVENTS);
    assert_eq!(number(&url, "SELECT count(*) FROM rsvp.counts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_comes_to_any_more_leaves_no_row() {
    let (store, url) = fresh("pool_size=5").await;
    let (fair, ball) = (EventId::new("fair").unwrap(), EventId::new("ball").unwrap());
    let users: Vec<_> = (0..10_u64).map(UserId::from).collect();
    for user in &users {
        store.rsvp(user, &fair).await.unwrap();
        store.rsvp(user, &ball).await.unwrap();
    }
    for user in &users {
        store.cancel(user, &fair).await.unwrap();
        store.remove_user(user).await.unwrap();
    }
    assert_eq!(number(&url, "SELECT count(*) FROM rsvp.counts").await, 0);
}
