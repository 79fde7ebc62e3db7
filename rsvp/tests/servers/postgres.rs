//! `open` on a real Postgres server.

use futures_util::future::join_all;
use rsvp::{EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_testkit::servers::PostgresServer;

#[tokio::test]
async fn a_postgres_url_opens_a_store_that_others_share() {
    let url = PostgresServer::shared().await.create_database().await;
    let missing = rsvp::open(&url).await.unwrap_err().to_string();
    assert!(missing.contains("migrate=true"), "{missing}");

    let first = rsvp::open(&format!("{url}?migrate=true")).await.unwrap();
    let second = rsvp::open(&url.replace("postgres://", "postgresql://")).await.unwrap();
    let (user, event) = (UserId::from(1), EventId::from(2));
    assert!(first.rsvp(&user, &event).await.unwrap().outcome.is_applied());
    assert!(second.has_rsvped(&user, &event).await.unwrap());
    second.ready().await.unwrap();
}

#[tokio::test]
async fn a_store_opened_by_url_is_audited_through_its_layers_and_shards() {
    let url = PostgresServer::shared().await.create_database().await;
    let shard = |n: u8| format!("s{n}={url}?migrate=true&schema=s{n}");
    let layers = "?spread=2&timeout=9s&retry=9s&coalesce=true&count_cache=5s&deadline=20s";
    let store = rsvp::open(&format!("{} {} {layers}", shard(1), shard(2))).await.unwrap();
    for user in (0..20_u32).map(UserId::from) {
        store.rsvp(&user, &EventId::from(1)).await.unwrap();
    }
    let audit = store.maintenance().unwrap().audit().await.unwrap();
    assert!(audit.checked > 0 && audit.findings.is_empty(), "{audit:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn stores_are_opened_again_with_their_placement_only() {
    let url = PostgresServer::shared().await.create_database().await;
    let shard = |n: u8| format!("s{n}={url}?migrate=true&schema=s{n}");
    let both = format!("{} {}", shard(1), shard(2));
    let concurrent = [(); 4].map(|()| rsvp::open(&both));
    for opened in join_all(concurrent).await {
        opened.unwrap().close().await.unwrap();
    }
    let other = rsvp::open(&format!("{both} ?spread=2")).await.unwrap_err().to_string();
    assert!(other.contains("the spread is 2, stored is 1"), "{other}");
    let twice = format!("s1={url}?schema=s1 s2={url}?schema=s1");
    let twice = rsvp::open(&twice).await.unwrap_err().to_string();
    assert!(twice.contains("the store of \"s2\" belongs to shard \"s1\""), "{twice}");
    rsvp::open(&format!("{both} ?spread=2&placement=accept")).await.unwrap();
    rsvp::open(&format!("{both} ?spread=2")).await.unwrap();
}
