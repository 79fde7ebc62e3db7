//! The owner of the tables uses the store.

use rsvp_postgres::PostgresConfig;
use rsvp_testkit::Subject;
use rsvp_testkit::servers::PostgresServer;

use crate::support::{open_two, subject};

async fn fresh() -> Subject {
    let url = PostgresServer::shared().await.create_database().await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true")).unwrap();
    let (store, peer) = open_two(config).await;
    subject(store, peer, &url)
}

rsvp_testkit::conformance!(fresh().await);
