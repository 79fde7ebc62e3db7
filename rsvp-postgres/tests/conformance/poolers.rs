//! Through PgBouncer the store keeps the contract, in session mode and in transaction mode.

use std::time::Duration;

use rsvp_core::{Effect, EventId, RsvpStore, RsvpStoreExt, UserId, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::{Lending, PgBouncer, PostgresServer};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, raw_sql};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::support::{open_two, subject};

/// The sessions that a pooler has for each database.
const SESSIONS: usize = 12;

async fn shared(lending: Lending) -> &'static PgBouncer {
    static SESSION: OnceCell<PgBouncer> = OnceCell::const_new();
    static TRANSACTION: OnceCell<PgBouncer> = OnceCell::const_new();
    let cell = if lending == Lending::Session { &SESSION } else { &TRANSACTION };
    let server = PostgresServer::shared().await;
    cell.get_or_init(|| PgBouncer::start(server, lending, SESSIONS)).await
}

/// The settings of a store on a fresh database through a pooler on this port, and the database's
/// own URL.
async fn through(port: u16, lending: Lending) -> (PostgresConfig, String) {
    let server = PostgresServer::shared().await;
    let url = server.create_database().await;
    let parameters = match lending {
        Lending::Session => "pool_size=4",
        Lending::Transaction => "pool_size=4&pooler=transaction",
    };
    let pooled = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
    (PostgresConfig::from_url(&format!("{pooled}?{parameters}")).unwrap(), url)
}

async fn fresh(lending: Lending) -> Subject {
    let (config, url) = through(shared(lending).await.port(), lending).await;
    migrate(&config).await.unwrap();
    let (store, peer) = open_two(config).await;
    subject(store, peer, &url)
}

mod session {
    use super::*;

    rsvp_testkit::conformance!(fresh(Lending::Session).await);
}

mod transaction {
    use super::*;

    rsvp_testkit::conformance!(fresh(Lending::Transaction).await);
}

/// The settings in a session of a database, as the statement of a call sees them.
const SETTINGS: &str = "
    CREATE TABLE seen (name text PRIMARY KEY, setting text);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.seen SELECT name, setting FROM pg_settings
        WHERE name IN ('statement_timeout', 'jit', 'enable_seqscan', 'transaction_isolation')
        ON CONFLICT (name) DO UPDATE SET setting = excluded.setting;
        RETURN NULL;
    END $$;
    CREATE TRIGGER see AFTER INSERT ON rsvp.rsvps EXECUTE FUNCTION see()";

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_the_store_are_in_force_through_a_pooler_and_end_with_it() {
    let server = PostgresServer::shared().await;
    for lending in [Lending::Session, Lending::Transaction] {
        let pooler = PgBouncer::start(server, lending, 1).await;
        let (config, url) = through(pooler.port(), lending).await;
        let database = url.rsplit('/').next().unwrap();
        let level = "SET default_transaction_isolation = 'serializable'";
        server.execute(&format!("ALTER DATABASE {database} {level}")).await;
        migrate(&config).await.unwrap();
        server.execute_in(&url, SETTINGS).await;
        let config = config.with_pool_size(1).with_statement_timeout(Duration::from_secs(3));
        let store = PostgresStore::open(config).await.unwrap();
        store.rsvp(&UserId::from(1), &EventId::from(1)).await.unwrap();
        let seen = server.execute_in(&url, "SELECT * FROM seen ORDER BY name").await;
        let expected = "enable_seqscan|off\njit|off\nstatement_timeout|3000\n\
                        transaction_isolation|read committed";
        assert_eq!(seen.trim(), expected, "{lending:?}");
        store.close().await.unwrap();
        // The next client of the only session has none of them.
        let pooled = url.replace(&server.port().to_string(), &pooler.port().to_string());
        let timeout = server.execute_in(&pooled, "SHOW statement_timeout").await;
        assert_eq!(timeout.trim(), "0", "{lending:?}");
    }
}

/// Two clients take turns on fewer sessions than they have connections.
#[tokio::test(flavor = "multi_thread")]
async fn many_connections_share_few_sessions() {
    let server = PostgresServer::shared().await;
    let pooler = PgBouncer::start(server, Lending::Transaction, 3).await;
    let (config, _) = through(pooler.port(), Lending::Transaction).await;
    migrate(&config).await.unwrap();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(PostgresStore::open(config.clone().with_pool_size(10)).await.unwrap());
    }
    let mut calls = tokio::task::JoinSet::new();
    for (number, store) in (0_u64..).zip(stores.iter().cycle().take(60).cloned()) {
        calls.spawn(async move {
            let (user, event) = (UserId::from(number), EventId::from(number % 3));
            store.rsvp(&user, &event).await.unwrap();
            assert!(store.has_rsvped(&user, &event).await.unwrap());
        });
    }
    calls.join_all().await;
    assert_eq!(stores[0].maintenance().unwrap().audit().await.unwrap().findings, []);
}

/// A call that waits for a lock is stopped in its own transaction, and in no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_stops_the_transaction_of_the_call_alone() {
    let server = PostgresServer::shared().await;
    let (config, url) =
        through(shared(Lending::Transaction).await.port(), Lending::Transaction).await;
    migrate(&config).await.unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    let (ann, fair) = (UserId::from(1), EventId::from(1));
    let mut lock = PgConnection::connect(&url).await.unwrap();
    let held = "BEGIN; LOCK TABLE rsvp.rsvps";
    raw_sql(held).execute(&mut lock).await.unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let options = WriteOptions::default().with_timeout(Duration::from_millis(600));
        let error = store.rsvp_with(&ann, &fair, options).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    let database = url.rsplit('/').next().unwrap();
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND xact_start IS NOT NULL"
    );
    assert_eq!(server.execute(&open).await.trim(), "0");
    assert_eq!(store.rsvp_count(&fair).await.unwrap().value, 0);
    assert!(store.rsvp(&ann, &fair).await.unwrap().outcome.is_applied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lost_its_pooler_is_settled_on_the_server_or_pending() {
    let server = PostgresServer::shared().await;
    for lending in [Lending::Session, Lending::Transaction] {
        let pooler = PgBouncer::start(server, lending, 5).await;
        let (config, url) = through(pooler.port(), lending).await;
        migrate(&config).await.unwrap();
        let store = PostgresStore::open(config.with_lock_timeout(Duration::from_secs(60))).await;
        let store = store.unwrap();
        let (ann, fair) = (UserId::from(1), EventId::from(1));
        store.rsvp(&UserId::from(2), &fair).await.unwrap();
        let mut lock = PgConnection::connect(&url).await.unwrap();
        let held = "BEGIN; INSERT INTO rsvp.rsvps VALUES ('1', '1')";
        raw_sql(held).execute(&mut lock).await.unwrap();
        let writing = tokio::spawn({
            let (store, ann, fair) = (store.clone(), ann.clone(), fair.clone());
            async move { store.rsvp(&ann, &fair).await }
        });
        let database = url.rsplit('/').next().unwrap();
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = '{database}' AND wait_event_type = 'Lock'"
        );
        while server.execute(&waiting).await.trim() == "0" {
            sleep(Duration::from_millis(5)).await;
        }
        pooler.kill().await;
        let error = writing.await.unwrap().unwrap_err();
        assert!(matches!(error.effect(), Effect::Pending(_)), "{lending:?}: {error:?}");
        assert!(error.is_retryable());
        raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    }
}
