//! No write takes effect after a later one was acknowledged, even if it was held back meanwhile.

use std::time::Duration;

use rand::Rng;
use rsvp_core::layers::{CoalesceConfig, LayerExt, RetryConfig, TimeoutConfig};
use rsvp_core::{
    Effect, Error, EventId, ReadOptions, RsvpStore, RsvpStoreExt, UserId, WriteOptions,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::{PostgresServer, Proxy};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Stopped, assert_counts_are_exact, assert_full_capacity, backends, config, event, eventually,
    held_lock, open, random, through, user, waits_for_lock,
};

const ROUNDS: usize = 60;
const TIME: Duration = Duration::from_millis(300);

async fn assert_absent(store: &dyn RsvpStore, user: &UserId, event: &EventId, count: u64) {
    assert!(!store.has_rsvped(user, event).await.unwrap(), "{user}'s RSVP came late");
    assert_eq!(store.rsvp_count_with(event, ReadOptions::strong()).await.unwrap().value, count);
}

/// Repeats a cancel until it is acknowledged.
async fn cancel(store: &PostgresStore, user: &UserId, event: &EventId) {
    loop {
        let options = WriteOptions::default().with_timeout(TIME);
        match store.cancel_with(user, event, options).await {
            Ok(_) => return,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The process that gets the RSVP stands still, the network does, or another session holds a lock.
#[tokio::test(flavor = "multi_thread")]
async fn no_write_lands_after_a_later_one_was_acknowledged() {
    let mut random = random();
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(config(&through(proxy.port())).with_pool_size(3)).await;
    let fair = event("fair");
    store.rsvp(&user("bob"), &fair).await.unwrap();
    let (mut effects, mut before_the_end) = ([0; 4], 0);
    for round in 0..ROUNDS {
        // 1. The fault, and an RSVP that meets it.
        let ann = user(round);
        let same_pair = format!("INSERT INTO rsvp.rsvps VALUES ('fair', '{round}')");
        let (mut stopped, mut lock) = (None, None);
        match round % 3 {
            0 => stopped = Some(Stopped::all(&server, "rsvp").await),
            1 => proxy.stall().await,
            _ => lock = Some(held_lock(&server, &same_pair).await),
        }
        let options = WriteOptions::default().with_timeout(TIME);
        let effect = match store.rsvp_with(&ann, &fair, options).await {
            Ok(_) => 0,
            Err(error) => match error.effect() {
                Effect::NotApplied => 1,
                Effect::Unknown => 2,
                _ => 3,
            },
        };
        effects[effect] += 1;
        // 2. A cancel, acknowledged during the fault or after it.
        let while_it_lasts = Duration::from_millis(random.random_range(0..500));
        let canceled = timeout(while_it_lasts, cancel(&store, &ann, &fair)).await.is_ok();
        before_the_end += u32::from(canceled);
        drop(stopped);
        proxy.resume().await;
        if let Some(lock) = lock {
            lock.release().await;
        }
        cancel(&store, &ann, &fair).await;
        // 3. The RSVP that was held back has had time to arrive.
        sleep(Duration::from_millis(200)).await;
        assert_absent(&store, &ann, &fair, 1).await;
    }
    println!(
        "{ROUNDS} rounds: acknowledged, not applied, unknown, pending {effects:?}; \
         {before_the_end} cancels acknowledged during the fault"
    );
    assert_counts_are_exact(&store).await;
}

/// The stack of layers that the README recommends.
async fn stack(backend: PostgresStore) -> impl RsvpStore {
    let timeout = TimeoutConfig::new(Duration::from_secs(1));
    let store = backend.with_timeout(timeout).unwrap();
    let store = store.with_retry(RetryConfig::default()).unwrap();
    store.with_coalescing(CoalesceConfig::default()).unwrap()
}

/// An RSVP and a cancel one after another, while every process of the pool stands still.
async fn assert_stopped_processes_do_nothing_late(parameters: &str) {
    let server = PostgresServer::start().await;
    let url = server.create_database().await;
    let url = format!("{url}?migrate=true&application_name=late{parameters}");
    let config = PostgresConfig::from_url(&url).unwrap();
    let store = stack(PostgresStore::open(config).await.unwrap()).await;
    let (ann, bob, fair) = (user("ann"), user("bob"), event("fair"));
    store.rsvp(&bob, &fair).await.unwrap();
    let stopped = Stopped::all(&server, "late").await;
    let began = Instant::now();
    let rsvp = store.rsvp(&ann, &fair).await.map(|receipt| receipt.outcome);
    let canceled = store.cancel(&ann, &fair).await.map(|receipt| receipt.outcome);
    println!("{:?}: {rsvp:?}, then {canceled:?}", began.elapsed());
    assert!(canceled.is_ok(), "the stopped process was fenced: {canceled:?}");
    assert_absent(&store, &ann, &fair, 1).await;
    drop(stopped);
    sleep(Duration::from_secs(1)).await;
    assert_absent(&store, &ann, &fair, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_does_nothing_late_through_the_layers() {
    assert_stopped_processes_do_nothing_late("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_does_nothing_late_after_a_short_statement_timeout() {
    assert_stopped_processes_do_nothing_late("&statement_timeout=500ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_connection_that_is_silent_is_closed() {
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres")).with_pool_size(2)).await;
    assert_full_capacity(&store, 2).await;
    let [one, other] = backends(&server, "rsvp").await[..] else { panic!("two processes") };
    let stopped = Stopped::one(one);
    let silent = async {
        loop {
            // Time enough to fence it on a busy machine.
            let options = WriteOptions::default().with_timeout(Duration::from_secs(3));
            if let Err(error) = store.rsvp_with(&user("ann"), &event("fair"), options).await {
                return error;
            }
        }
    };
    let error = timeout(Duration::from_secs(20), silent).await.unwrap();
    assert_eq!(error.effect(), Effect::Unknown, "fenced: {error:?}");
    store.rsvp(&user("bob"), &event("fair")).await.unwrap();
    assert!(backends(&server, "rsvp").await.contains(&other), "the other connection is kept");
    drop(stopped);
    eventually("the silent one to end", async || !backends(&server, "rsvp").await.contains(&one))
        .await;
}

/// A process suspended in the middle of a change cannot be seen to end, and cannot be trusted.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_write_blocks_its_event_alone_until_it_is_settled() {
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON rsvp.rsvps FOR EACH ROW
            WHEN (new.user_id = 'slow') EXECUTE FUNCTION slow()";
    server.execute(slow).await;
    let (ann, fair, ball) = (user("ann"), event("fair"), event("ball"));
    let call = tokio::spawn({
        let (store, fair) = (store.clone(), fair.clone());
        let options = WriteOptions::default().with_timeout(Duration::from_secs(2));
        async move { store.rsvp_with(&user("slow"), &fair, options).await }
    });
    let sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("the write to be under way", async || {
        !server.execute(sleeping).await.trim().is_empty()
    })
    .await;
    let stopped = Stopped::one(server.execute(sleeping).await.trim().parse().unwrap());
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error.effect(), Effect::Pending(_)), "{error:?}");

    // Writes of the event are refused, and so is its removal.
    for _ in 0..3 {
        let refused = store.rsvp(&ann, &fair).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        assert_eq!(refused.effect(), Effect::NotApplied);
    }
    assert!(store.remove_event(&fair).await.is_err());
    assert!(store.remove_user(&user("slow")).await.is_err());
    // Reads of it, and everything else, go on.
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
    store.rsvp(&ann, &ball).await.unwrap();
    let batch = [&fair, &ball].map(|event| rsvp_core::Write::cancel(ann.clone(), event.clone()));
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    assert!(receipt.results[0].is_err() && receipt.results[1].is_ok(), "{receipt:?}");

    drop(stopped);
    eventually("the write to be settled", async || store.rsvp(&ann, &fair).await.is_ok()).await;
    assert_eq!(store.rsvp_count_with(&fair, ReadOptions::strong()).await.unwrap().value, 1);
    assert!(!store.has_rsvped(&user("slow"), &fair).await.unwrap());
    assert_counts_are_exact(&store).await;
}

/// The connection is lost while the server works on the statement, which goes on without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_connection_is_lost_is_stopped_before_the_caller_hears_of_it() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(config(&through(proxy.port()))).await;
    let lock = held_lock(&server, "INSERT INTO rsvp.rsvps VALUES ('fair', 'ann')").await;
    let (ann, fair) = (user("ann"), event("fair"));
    let call = tokio::spawn({
        let (store, ann, fair) = (store.clone(), ann.clone(), fair.clone());
        async move { store.rsvp(&ann, &fair).await }
    });
    eventually("the write to wait for the lock", async || waits_for_lock(&server).await).await;
    proxy.cut().await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    store.cancel(&ann, &fair).await.unwrap();
    lock.release().await;
    sleep(Duration::from_millis(200)).await;
    assert_absent(&store, &ann, &fair, 0).await;
}
