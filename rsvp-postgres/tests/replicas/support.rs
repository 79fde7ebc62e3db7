//! Stores on a primary with a replica.

use std::time::Duration;

use rsvp_core::{EventId, UserId};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::ReplicatedPostgres;
use tokio::time::{sleep, timeout};

/// More time than any wait needs, even on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);

/// The settings of a store that uses the primary alone, with this statement timeout in seconds.
pub(crate) fn primary_only(pair: &ReplicatedPostgres, statement_timeout: u64) -> PostgresConfig {
    let url = format!("{}?migrate=true", pair.primary().url("postgres"));
    let config = PostgresConfig::from_url(&url).unwrap();
    config.with_statement_timeout(Duration::from_secs(statement_timeout))
}

/// A store that writes to the primary and may read from the standby, which has its tables.
pub(crate) async fn open(pair: &ReplicatedPostgres, primary: PostgresConfig) -> PostgresStore {
    let config = primary.with_replica(&format!("127.0.0.1:{}", pair.standby().port()));
    let store = PostgresStore::open(config).await.unwrap();
    pair.wait_caught_up().await;
    store
}

pub(crate) fn user(name: impl std::fmt::Display) -> UserId {
    UserId::new(name.to_string()).unwrap()
}

pub(crate) fn event(name: impl std::fmt::Display) -> EventId {
    EventId::new(name.to_string()).unwrap()
}

/// Repeats `probe` until it succeeds.
pub(crate) async fn eventually(state: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !probe().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, asking).await.is_ok(), "waited {LIMIT:?} for {state}");
}
