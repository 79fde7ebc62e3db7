//! A call that is dropped at any moment leaks nothing and disturbs no other call.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    EventId, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::{PostgresServer, Proxy};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::assert_counts_are_exact;

const POOL: usize = 4;
const CALLERS: u64 = 50;
const DROPPED: u64 = 10_000;

/// Any call of the trait, on pairs that no check looks at.
async fn any_call(store: &PostgresStore, rng: &mut StdRng) {
    let user = UserId::from(rng.random_range(1000..1050));
    let event = EventId::from(rng.random_range(0..5));
    let (read, write) = (ReadOptions::strong(), WriteOptions::default());
    // Any answer will do, because the call may be dropped before it.
    match rng.random_range(0..9) {
        0 => drop(store.rsvp(&user, &event).await),
        1 => drop(store.cancel(&user, &event).await),
        2 => {
            let batch: Vec<_> = (0..20_u32)
                .map(|n| match n % 2 {
                    0 => Write::rsvp(UserId::from(n), event.clone()),
                    _ => Write::cancel(UserId::from(n), event.clone()),
                })
                .collect();
            drop(store.write_batch(&batch, &write).await);
        }
        3 => drop(store.has_rsvped_batch(&[Rsvp::new(user, event)], &read).await),
        4 => drop(store.rsvp_count_batch(&[event], &read).await),
        5 => drop(store.attendees_page(&event, &PageRequest::default()).await),
        6 => drop(store.events_of_page(&user, &PageRequest::default()).await),
        7 => drop(store.remove_user_step(&user, PageLimit::MIN, &write).await),
        _ => drop(store.ready().await),
    }
}

/// Users with an even id come to the quiet event, and no call changes it.
async fn assert_own_answer(store: &PostgresStore, rng: &mut StdRng) {
    let users: Vec<_> = (0..8).map(|_| rng.random_range(0..100_u32)).collect();
    let quiet = EventId::new("quiet").unwrap();
    let pairs: Vec<_> =
        users.iter().map(|user| Rsvp::new(UserId::from(*user), quiet.clone())).collect();
    let answers = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let expected: Vec<_> = users.iter().map(|user| user % 2 == 0).collect();
    assert_eq!(answers, expected, "{users:?}");
    let count = store.rsvp_count_with(&quiet, ReadOptions::strong()).await.unwrap();
    assert_eq!(count.value, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_dropped_at_random_leak_nothing() {
    let server = PostgresServer::start().await;
    let url = server.create_database().await;
    let proxy = Proxy::start(server.port()).await;
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let parameters = format!("migrate=true&pool_size={POOL}&acquire_timeout=60s");
    let config = PostgresConfig::from_url(&format!("{through}?{parameters}")).unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    let quiet = EventId::new("quiet").unwrap();
    let coming: Vec<_> =
        (0..100_u32).step_by(2).map(|n| Write::rsvp(UserId::from(n), quiet.clone())).collect();
    store.write_batch(&coming, &WriteOptions::default()).await.unwrap().outcomes().unwrap();
    proxy.set_delay(Duration::from_millis(1));

    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = store.clone();
        let mut rng = StdRng::seed_from_u64(seed ^ caller);
        callers.spawn(async move {
            for call in 0..DROPPED / CALLERS {
                let moment = Duration::from_micros(rng.random_range(0..12_000));
                let _ = tokio::time::timeout(moment, any_call(&store, &mut rng)).await;
                if call % 20 == 0 {
                    assert_own_answer(&store, &mut rng).await;
                }
            }
        });
    }
    callers.join_all().await;

    // Calls that lost their callers finish. Then every connection is idle, and none is lost.
    proxy.set_delay(Duration::ZERO);
    let deadline = Instant::now() + Duration::from_secs(20);
    let (open, idle) = loop {
        let (open, idle) = store.connections();
        if open == idle {
            break (open, idle);
        }
        assert!(Instant::now() < deadline, "{idle} of {open} connections are idle");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(open <= POOL, "{open} connections");
    assert_eq!(proxy.open(), idle, "connections through the proxy");
    let sessions = "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
                    WHERE application_name = 'rsvp'";
    assert_eq!(server.execute(sessions).await.trim(), format!("{idle}|0"), "sessions, busy ones");

    let mut rng = StdRng::seed_from_u64(seed);
    let calls = (0..4 * POOL).map(|_| {
        let (store, mut rng) = (store.clone(), StdRng::seed_from_u64(rng.random()));
        async move { assert_own_answer(&store, &mut rng).await }
    });
    tokio::time::timeout(Duration::from_secs(10), join_all(calls)).await.unwrap();
    assert_counts_are_exact(&store).await;
}
