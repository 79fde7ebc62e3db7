//! Two primaries at once, because the old one was not stopped or is read-only.

use std::time::Duration;

use rsvp_core::{Consistency, Effect, Error, ReadOptions, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::servers::ReplicatedPostgres;
use tokio::time::{Instant, sleep};

use crate::support::{config, event, eventually, open, user};

/// A pair whose standby was promoted while the primary goes on.
/// User 1 is on both, and user 2 on the promoted one.
/// Returns the port of the old primary and the token of user 2, too.
async fn split() -> (ReplicatedPostgres, u16, rsvp_core::SessionToken) {
    let pair = ReplicatedPostgres::start().await;
    let store = open(config(&pair.url("postgres"))).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    let old = pair.primary().port();
    pair.promote().await;
    let other = format!("127.0.0.1:{}", pair.standby().port());
    // A store with a replica, so that its writes have positions.
    let promoted = config(&pair.primary().url("postgres")).with_replica(&other);
    let promoted = PostgresStore::open(promoted).await.unwrap();
    let token = promoted.rsvp(&user(2), &event(1)).await.unwrap().token;
    (pair, old, token)
}

fn hosts(first: u16, second: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_store_uses_the_promoted_server_wherever_it_stands() {
    let (pair, old, token) = split().await;
    let new = pair.primary().port();
    for (number, url) in [(3, hosts(old, new)), (4, hosts(new, old))] {
        let store = PostgresStore::open(config(&url)).await.unwrap();
        assert!(store.has_rsvped(&user(2), &event(1)).await.unwrap(), "{url}");
        let session = Consistency::Session(token.clone());
        assert!(store.has_rsvped_with(&user(2), &event(1), session).await.unwrap(), "{url}");
        store.rsvp(&user(number), &event(1)).await.unwrap();
        let rows = "SELECT string_agg(user_id, ',' ORDER BY user_id) FROM rsvp.rsvps";
        let rows = pair.primary().execute(rows).await;
        assert!(rows.contains(&number.to_string()), "{url}: {rows}");
        store.maintenance().unwrap().audit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_is_refused_by_those_who_have_met_the_new_one() {
    let (pair, old, _) = split().await;
    let store = config(&hosts(old, pair.primary().port()));
    let store = PostgresStore::open(store.with_connect_timeout(Duration::from_millis(500)));
    let store = store.await.unwrap();
    store.rsvp(&user(3), &event(1)).await.unwrap();
    pair.primary().kill().await;
    for _ in 0..20 {
        let error = store.rsvp(&user(4), &event(1)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let error = store.has_rsvped(&user(3), &event(1)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    let rows = pair.standby().execute("SELECT user_id FROM rsvp.rsvps").await;
    assert_eq!(rows.trim(), "1", "nothing was written to the old one");
    pair.primary().start_again().await;
    eventually("the new primary to be used", async || {
        store.rsvp(&user(4), &event(1)).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_answered_by_a_server_of_an_earlier_timeline() {
    let (_pair, old, token) = split().await;
    // This process cannot reach the promoted server, and never did.
    let unreachable = config(&hosts(old, 1)).with_connect_timeout(Duration::from_millis(500));
    let store = PostgresStore::open(unreachable).await.unwrap();
    for _ in 0..3 {
        let session = Consistency::Session(token.clone());
        let error = store.has_rsvped_with(&user(2), &event(1), session).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    // A forged token harms nobody but its bearer.
    assert!(store.has_rsvped(&user(1), &event(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_reads_notices_that_its_primary_takes_no_writes_any_more() {
    let pair = ReplicatedPostgres::start().await;
    let store = open(config(&pair.url("postgres"))).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    let old = config(&pair.primary().url("postgres"));
    let read_only = "ALTER SYSTEM SET default_transaction_read_only = on";
    pair.primary().execute(read_only).await;
    pair.primary().execute("SELECT pg_reload_conf()").await;
    pair.promote().await;
    let promoted = PostgresStore::open(config(&pair.primary().url("postgres"))).await.unwrap();
    promoted.rsvp(&user(2), &event(1)).await.unwrap();

    // Half a second is left for the reload, and a second for the trust in the last choice.
    sleep(Duration::from_millis(1500)).await;
    for _ in 0..20 {
        assert!(store.has_rsvped(&user(2), &event(1)).await.unwrap(), "it costs no error either");
    }
    assert_eq!(store.rsvp_count_with(&event(1), Consistency::Strong).await.unwrap().value, 2);
    // Alone, the old primary answers reads, and refuses writes without an effect.
    let alone = PostgresStore::open(old).await.unwrap();
    for _ in 0..20 {
        assert!(alone.has_rsvped(&user(1), &event(1)).await.unwrap());
        let error = alone.rsvp(&user(3), &event(1)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(alone.ready().await.is_err());
    }
    assert_eq!(alone.connections().0, 1, "its connection is as good as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_a_better_primary_takes_no_call_past_its_deadline() {
    let pair = ReplicatedPostgres::start().await;
    let store = open(config(&pair.url("postgres"))).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.primary().execute("ALTER SYSTEM SET default_transaction_read_only = on").await;
    pair.primary().execute("SELECT pg_reload_conf()").await;
    pair.standby().pause().await;
    for _ in 0..3 {
        sleep(Duration::from_millis(1100)).await;
        let began = Instant::now();
        let options = ReadOptions::strong().with_timeout(Duration::from_millis(400));
        let _ = store.has_rsvped_with(&user(1), &event(1), options).await;
        let options = WriteOptions::default().with_timeout(Duration::from_millis(400));
        let error = store.rsvp_with(&user(2), &event(1), options).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }
    pair.standby().resume().await;
    eventually("reads to be answered", async || {
        store.has_rsvped(&user(1), &event(1)).await.unwrap_or(false)
    })
    .await;
}
