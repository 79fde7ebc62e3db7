//! The changes that the suite makes to a database beside the store.

use std::time::Duration;

use rsvp_core::{EventId, RsvpStore};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::PostgresServer;

/// Two stores on one database, as two processes would have them.
/// They refuse no call on a busy machine, because the suite expects an answer to each.
pub(crate) async fn open_two(config: PostgresConfig) -> (PostgresStore, PostgresStore) {
    let config = config.with_acquire_timeout(Duration::from_secs(30));
    let store = PostgresStore::open(config.clone()).await.unwrap();
    (store, PostgresStore::open(config).await.unwrap())
}

/// A subject of stores on the database at `url`, which the suite may make read-only, and which may
/// refuse an event.
pub(crate) fn subject(store: PostgresStore, peer: PostgresStore, url: &str) -> Subject {
    let name = url.rsplit('/').next().unwrap().to_owned();
    let end_sessions =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let read_only =
        format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on; {end_sessions}");
    let stop = async move || {
        PostgresServer::shared().await.execute(&read_only).await;
    };
    // An encoding that lacks most characters. All that the database holds by then is ASCII.
    let latin = format!(
        "UPDATE pg_database SET encoding = pg_char_to_encoding('LATIN1') WHERE datname = '{name}';
         {end_sessions}"
    );
    let stores = [store.clone(), peer.clone()];
    let refuse = async move || {
        PostgresServer::shared().await.execute(&latin).await;
        // The first call of each store finds its sessions gone.
        for store in stores {
            let _ = store.ready().await;
            store.ready().await.unwrap();
        }
    };
    Subject::from(store)
        .with_peer(peer)
        .stopped_by(stop)
        .refusing(EventId::new("🎪").unwrap(), refuse)
}
