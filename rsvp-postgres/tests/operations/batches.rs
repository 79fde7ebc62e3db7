//! Batches of any length, with an answer for each entry.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{CoalesceConfig, LayerExt, RetryConfig};
use rsvp_core::{
    Effect, Error, EventId, Outcome, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::Instant;

const LARGE: u64 = 400_000;

async fn fresh() -> (PostgresStore, String) {
    let url = PostgresServer::shared().await.create_database().await;
    (open(&url).await, url)
}

async fn open(url: &str) -> PostgresStore {
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true")).unwrap();
    PostgresStore::open(config).await.unwrap()
}

fn pair(n: u64) -> Rsvp {
    Rsvp::new(UserId::from(n), EventId::from(n % 1000))
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_thousand_entries_are_taken() {
    let url = PostgresServer::shared().await.create_database().await;
    // Less than a quarter of the batch takes in one statement.
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&statement_timeout=2s"));
    let store = PostgresStore::open(config.unwrap()).await.unwrap();
    let pairs: Vec<_> = (0..LARGE).map(pair).collect();
    let writes: Vec<_> =
        pairs.iter().map(|pair| Write::rsvp(pair.user.clone(), pair.event.clone())).collect();
    let began = Instant::now();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    println!("{LARGE} pairs written within {:?}", began.elapsed());
    let outcomes = receipt.outcomes().unwrap();
    assert!(outcomes.len() == writes.len() && outcomes.iter().all(|outcome| outcome.is_applied()));

    let began = Instant::now();
    let read = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    println!("and read within {:?}", began.elapsed());
    assert!(read.len() == pairs.len() && read.into_iter().all(Result::unwrap));

    let events: Vec<_> = (0..20_000_u64).map(EventId::from).collect();
    let counts = store.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    let counts: Vec<_> = counts.into_iter().map(|count| count.unwrap().value).collect();
    let expected = (0..20_000_u64).map(|event| if event < 1000 { LARGE / 1000 } else { 0 });
    assert!(counts.into_iter().eq(expected));
}

/// The server refuses some users by a constraint, and some by a trigger.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_the_server_refuses_fail_alone() {
    let (store, url) = fresh().await;
    let rules = "ALTER TABLE rsvp.rsvps ADD CHECK (user_id NOT IN ('7', '1500'));
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON rsvp.rsvps FOR EACH ROW
            WHEN (new.user_id = '1501') EXECUTE FUNCTION refuse()";
    PostgresServer::shared().await.execute_in(&url, rules).await;
    let refused = [7, 1500, 1501];
    let writes: Vec<_> = (0..2000).map(|n| Write::new(rsvp_core::Action::Rsvp, pair(n))).collect();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    for (n, result) in (0..).zip(receipt.results) {
        match result {
            Ok(written) => assert!(!refused.contains(&n) && written.outcome == Outcome::Applied),
            Err(error) => {
                assert!(refused.contains(&n), "{n}: {error:?}");
                assert_eq!(error.effect(), Effect::NotApplied);
                assert!(!error.is_retryable());
            }
        }
    }
    let pairs: Vec<_> = (0..2000).map(pair).collect();
    let read = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    let present = read.into_iter().filter(|present| *present.as_ref().unwrap());
    assert_eq!(present.count(), 1997);
    assert_eq!(store.maintenance().unwrap().audit().await.unwrap().findings, []);
}

/// A database whose encoding lacks most characters, and one user in a hundred with such characters.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_the_encoding_lacks_fail_alone() {
    let server = PostgresServer::start().await;
    server.execute("CREATE DATABASE latin").await;
    let backend = open(&server.url("latin")).await;
    // A store refuses such a database when it is opened, so the encoding changes afterwards.
    let latin = "UPDATE pg_database SET encoding = pg_char_to_encoding('LATIN1')
                 WHERE datname = 'latin';
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'latin'";
    server.execute(latin).await;
    let fair = EventId::new("fair").unwrap();
    let users =
        ["ann", "🎉", "zoë"].map(|user| Rsvp::new(UserId::new(user).unwrap(), fair.clone()));
    let read = backend.has_rsvped_batch(&users, &ReadOptions::strong()).await.unwrap();
    assert!(matches!(read[..], [Ok(false), Err(_), Ok(false)]), "{read:?}");
    let events = ["fair", "🎪"].map(|event| EventId::new(event).unwrap());
    let counts = backend.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    assert!(matches!(counts[..], [Ok(_), Err(_)]), "{counts:?}");

    let coalesced = CoalesceConfig::default().with_lanes(1);
    let store = backend.with_retry(RetryConfig::default()).unwrap().with_coalescing(coalesced);
    let store = Arc::new(store.unwrap());
    let mut callers = JoinSet::new();
    for caller in 0..100_u64 {
        let (store, fair) = (store.clone(), fair.clone());
        callers.spawn(async move {
            let mut failed = 0;
            for round in 0..20 {
                let user = match caller {
                    0 => UserId::new(format!("🎉{round}")).unwrap(),
                    _ => UserId::from(caller * 1000 + round),
                };
                failed += u64::from(store.rsvp(&user, &fair).await.is_err());
            }
            (caller, failed)
        });
    }
    for (caller, failed) in callers.join_all().await {
        assert_eq!(failed, if caller == 0 { 20 } else { 0 }, "{caller}");
    }
    assert_eq!(store.rsvp_count_with(&fair, ReadOptions::strong()).await.unwrap().value, 99 * 20);
}

#[tokio::test]
async fn a_corrupt_count_fails_alone() {
    let (store, url) = fresh().await;
    let (good, bad) = (EventId::from(1), EventId::from(2));
    store.rsvp(&UserId::from(1), &good).await.unwrap();
    let meddling = "INSERT INTO rsvp.counts VALUES ('2', 0, -3)";
    PostgresServer::shared().await.execute_in(&url, meddling).await;
    let events = [good.clone(), bad, good];
    let counts = store.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    assert_eq!(counts[0].as_ref().unwrap().value, 1);
    assert!(matches!(counts[1], Err(Error::Corrupt { .. })), "{counts:?}");
    assert_eq!(counts[2].as_ref().unwrap().value, 1);
}

/// Half of a batch meets a lock, in statements of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_leaves_the_others() {
    let (store, url) = fresh().await;
    let mut writes: Vec<_> =
        (0..2000).map(|n| Write::rsvp(UserId::from(n), EventId::new("a").unwrap())).collect();
    let blocked = Rsvp::new(UserId::from(1), EventId::new("b").unwrap());
    store.rsvp(&blocked.user, &blocked.event).await.unwrap();
    writes.push(Write::cancel(blocked.user.clone(), blocked.event.clone()));
    let lock = async {
        let server = PostgresServer::shared().await;
        let sql =
            "BEGIN; DELETE FROM rsvp.rsvps WHERE event_id = 'b'; SELECT pg_sleep(2); ROLLBACK";
        server.execute_in(&url, sql).await;
    };
    let write = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let options = WriteOptions::default().with_timeout(Duration::from_millis(900));
        store.write_batch(&writes, &options).await.unwrap()
    };
    let (receipt, ()) = tokio::join!(write, lock);
    let (last, others) = receipt.results.split_last().unwrap();
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(last.as_ref().unwrap_err().effect(), Effect::NotApplied, "{last:?}");
}
