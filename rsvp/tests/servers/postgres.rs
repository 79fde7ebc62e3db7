//! `open` on a real Postgres server.

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
