//! The owner of the tables uses the store.

use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::PostgresServer;

use crate::support::subject;

/// Two stores on one fresh database, as two processes would have them.
async fn fresh() -> Subject {
    let url = PostgresServer::shared().await.create_database().await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true")).unwrap();
    let store = PostgresStore::open(config.clone()).await.unwrap();
    let peer = PostgresStore::open(config).await.unwrap();
    subject(store, peer, &url)
}

rsvp_testkit::conformance!(fresh().await);
