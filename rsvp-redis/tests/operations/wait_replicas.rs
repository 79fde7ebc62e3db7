//! A write that waits for replicas fails in time when there are none, and harms nothing.

use std::time::Duration;

use crate::support::{event, eventually, open, user};
use futures_util::future::join_all;
use rsvp_core::{Effect, Error, Receipt, Result, RsvpStoreExt, WriteOptions};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{RedisServer, ReplicatedRedis};
use tokio::time::Instant;

const WAIT: Duration = Duration::from_millis(300);
/// The delay that a busy machine adds.
const SLACK: Duration = Duration::from_secs(1);
/// More than there are connections for writes that wait.
const AT_ONCE: usize = 20;

async fn write_at_once(store: &RedisStore, name: &str) -> Vec<Result<Receipt>> {
    let pairs: Vec<_> =
        (0..AT_ONCE).map(|number| (user(format!("{name}{number}")), event(1))).collect();
    join_all(pairs.iter().map(|(user, event)| store.rsvp(user, event))).await
}

fn assert_not_replicated(answer: Result<Receipt>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(error.is_retryable());
}

/// How many connections the server has taken, this question's own included.
async fn connections_taken(server: &RedisServer) -> u64 {
    let stats = server.command(&["INFO", "stats"]).await;
    let mut lines = stats.lines();
    let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_its_replica_fails_in_time_and_is_served_again_when_it_is_back() {
    let pair = ReplicatedRedis::start().await;
    let url = pair.primary().url();
    let store = open(&format!("{url}?wait_replicas=1&wait_timeout=300ms")).await;
    for (number, answer) in write_at_once(&store, "before").await.into_iter().enumerate() {
        assert!(answer.is_ok(), "write {number}: {answer:?}");
    }
    let taken = connections_taken(pair.primary()).await;
    for round in 0..3 {
        pair.replica().pause().await;
        let began = Instant::now();
        let alone = user(format!("alone{round}"));
        assert_not_replicated(store.rsvp(&alone, &event(1)).await);
        let took = began.elapsed();
        println!("failed after {took:?}");
        assert!((WAIT..WAIT + SLACK).contains(&took), "{took:?}");
        // Nor is a repetition acknowledged, which changes nothing.
        assert_not_replicated(store.rsvp(&alone, &event(1)).await);
        // Reads wait for no replica, and do not queue behind writes that do.
        let (name, present, of) = (format!("without{round}/"), user("before0"), event(1));
        let began = Instant::now();
        let reading = async {
            let held = store.has_rsvped(&present, &of).await.unwrap();
            (held, began.elapsed())
        };
        let (answers, (held, read)) = tokio::join!(write_at_once(&store, &name), reading);
        assert!(held && read < WAIT, "read after {read:?}");
        answers.into_iter().for_each(assert_not_replicated);
        println!("{AT_ONCE} at once failed after {:?}", began.elapsed());
        assert!(began.elapsed() < 3 * WAIT + SLACK, "{:?}", began.elapsed());
        pair.replica().resume().await;
        eventually("the replica to acknowledge", async || {
            store.rsvp(&user("after"), &event(1)).await.is_ok()
        })
        .await;
        let began = Instant::now();
        for answer in write_at_once(&store, &format!("after{round}/")).await {
            answer.unwrap();
        }
        assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    }
    let more = connections_taken(pair.primary()).await - taken;
    assert_eq!(more, 1, "connections taken since, of which one is that of the question");
    // A write that failed for want of a replica stays.
    assert!(store.has_rsvped(&user("alone0"), &event(1)).await.unwrap());
    let expected = 1 + 3 + AT_ONCE as u64 * 7;
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, expected);
}

/// The primary has the write, and the call ends at its deadline and not with `wait_timeout`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_wait_for_replicas() {
    let pair = ReplicatedRedis::start().await;
    let url = pair.primary().url();
    let store = open(&format!("{url}?wait_replicas=1&wait_timeout=50s")).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.replica().pause().await;
    let began = Instant::now();
    let options = WriteOptions::default().with_timeout(WAIT);
    let error = store.rsvp_with(&user(2), &event(1), options).await.unwrap_err();
    assert!(began.elapsed() < WAIT + SLACK, "{:?}", began.elapsed());
    assert_eq!(error.effect(), Effect::Unknown, "it is decided: {error:?}");
    assert!(store.has_rsvped(&user(2), &event(1)).await.unwrap());
    pair.replica().resume().await;
}

/// A repetition changes nothing, so it sends nothing to the replicas by itself. Retries make it the
/// normal path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_write_is_acknowledged_only_when_the_replica_has_the_first() {
    let pair = ReplicatedRedis::start().await;
    let url = pair.primary().url();
    let store = open(&format!("{url}?wait_replicas=1&wait_timeout=300ms")).await;
    let warm: Vec<_> = (0..8).map(user).collect();
    let fair = event(1);
    for answer in join_all(warm.iter().map(|user| store.rsvp(user, &fair))).await {
        answer.unwrap();
    }
    pair.replica().pause().await;
    for _ in 0..10 {
        // Each on a connection that may have waited for other writes before.
        assert_not_replicated(store.cancel(&user(0), &event(1)).await);
        assert_not_replicated(store.rsvp(&user(9), &event(1)).await);
    }
    pair.replica().resume().await;
    eventually("the replica to acknowledge", async || {
        store.cancel(&user(0), &event(1)).await.is_ok()
            && store.rsvp(&user(9), &event(1)).await.is_ok()
    })
    .await;
    pair.primary().kill().await;
    pair.promote().await;
    let promoted = open(&pair.primary().url()).await;
    assert!(!promoted.has_rsvped(&user(0), &event(1)).await.unwrap());
    assert!(promoted.has_rsvped(&user(9), &event(1)).await.unwrap());
    // Markers leave nothing behind.
    let markers = async || pair.primary().command(&["KEYS", "rsvp:w:*"]).await;
    eventually("the markers to expire", async || markers().await.trim().is_empty()).await;
}
