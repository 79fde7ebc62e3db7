//! Deadlines: a call returns by its deadline, and what it did not do by then it does not do later.

use std::time::Duration;

use crate::support::calls::store;
use crate::support::{event, eventually, user};
use futures_util::future::join_all;
use rsvp_core::{
    Deadline, Effect, Error, Label, LabelName, Outcome, PageLimit, PageRequest, ReadOptions,
    Result, Rsvp, RsvpStore, RsvpStoreExt, WriteOptions,
};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::RedisServer;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_millis(300);
/// How much later a call may return on a busy machine.
const SLACK: Duration = Duration::from_millis(700);

/// An RSVP with a deadline, which must fail by then.
async fn rsvp_in_vain(store: &RedisStore) -> Error {
    let began = Instant::now();
    let options = WriteOptions::default().with_timeout(DEADLINE);
    let error = store.rsvp_with(&user(1), &event(1), options).await.unwrap_err();
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    error
}

async fn assert_not_there(store: &RedisStore) {
    assert!(!store.has_rsvped(&user(1), &event(1)).await.unwrap());
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_paused_server_holds_back_never_comes() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "").await;
    for _ in 0..20 {
        server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
        let error = rsvp_in_vain(&store).await;
        assert_eq!(error.effect(), Effect::Unknown, "it is decided: {error:?}");
        server.command(&["CLIENT", "UNPAUSE"]).await;
        sleep(Duration::from_millis(20)).await;
        assert_not_there(&store).await;
    }
    assert_eq!(store.rsvp(&user(1), &event(1)).await.unwrap().outcome, Outcome::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_stopped_server_is_pending_and_settled_before_the_next_one() {
    let server = RedisServer::start().await;
    let parameters = "connections=1&response_timeout=500ms&connect_timeout=500ms";
    let store = store(server.port(), parameters).await;
    for _ in 0..10 {
        store.cancel(&user(1), &event(1)).await.unwrap();
        server.pause().await;
        let error = rsvp_in_vain(&store).await;
        let until = error.retry_at().unwrap_or_else(|| panic!("nobody can tell: {error:?}"));
        assert!(until.remaining() <= Duration::from_secs(1), "twice the response timeout");
        // Another write is not acknowledged either, and nothing of it was sent.
        let other = WriteOptions::default().with_timeout(DEADLINE);
        let error = store.rsvp_with(&user(2), &event(2), other).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
        server.resume().await;
        eventually("the cancel", async || store.cancel(&user(1), &event(1)).await.is_ok()).await;
        sleep(Duration::from_millis(20)).await;
        assert_not_there(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_one_call_ends_no_other() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "connections=1&response_timeout=20s").await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    let connections = async || server.command(&["INFO", "stats"]).await;
    let taken = |stats: String| -> u64 {
        let mut lines = stats.lines();
        let line = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = taken(connections().await);
    server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    let patient = tokio::spawn({
        let store = store.clone();
        async move { store.has_rsvped(&user(1), &event(1)).await }
    });
    server.pause().await;
    // Reads that nobody waits for any more, on the connection that all share.
    let options = ReadOptions::strong().with_timeout(Duration::from_millis(50));
    let (user, event) = (user(1), event(1));
    let reads = (0..20).map(|_| store.has_rsvped_with(&user, &event, options.clone()));
    for answer in join_all(reads).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }
    server.resume().await;
    assert!(patient.await.unwrap().unwrap());
    assert!(store.has_rsvped(&user, &event).await.unwrap());
    // One is that of the pause, and one that of this question.
    assert_eq!(taken(connections().await) - before, 2, "connections taken meanwhile");
    server.command(&["CLIENT", "UNPAUSE"]).await;
}

/// Every call that takes a deadline, with one that has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_past_its_deadline_is_refused_before_anything_is_sent() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "").await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    let passed = Deadline::at(Instant::now());
    let (read, write) = (
        ReadOptions::strong().with_deadline(passed),
        WriteOptions::default().with_deadline(passed),
    );
    let page = PageRequest::new(read.clone());
    let (user, event, limit) = (user(1), event(1), PageLimit::MIN);
    let pairs = [Rsvp::new(user.clone(), event.clone())];
    let answers: Vec<Result<()>> = vec![
        store.cancel_with(&user, &event, write.clone()).await.map(drop),
        store.has_rsvped_batch(&pairs, &read).await.map(drop),
        store.rsvp_count_with(&event, read.clone()).await.map(drop),
        store.attendees_page(&event, &page).await.map(drop),
        store.events_of_page(&user, &page).await.map(drop),
        store.scan_page(&page).await.map(drop),
        store.remove_event_step(&event, limit, &write).await.map(drop),
        store.remove_user_step(&user, limit, &write).await.map(drop),
        store.label(&LabelName::new("shard").unwrap(), &read).await.map(drop),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    }
    assert!(store.has_rsvped(&user, &event).await.unwrap());
}

/// Without `CLIENT KILL` nobody can stop a write that was given up.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_fence_the_next_write_waits() {
    let server = RedisServer::start().await;
    let rights = ["+@all", "-client|kill"];
    let user_of_app = ["ACL", "SETUSER", "app", "reset", "on", ">secret", "~*"];
    server.command(&[user_of_app.as_slice(), &rights].concat()).await;
    let url = format!("redis://app:secret@127.0.0.1:{}?response_timeout=500ms", server.port());
    let store = crate::support::open(&url).await;
    server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    let error = rsvp_in_vain(&store).await;
    let until = error.retry_at().unwrap_or_else(|| panic!("nobody can tell: {error:?}"));
    server.command(&["CLIENT", "UNPAUSE"]).await;
    // A write that cannot wait is refused. Reads need not.
    let options = WriteOptions::default().with_timeout(Duration::from_millis(50));
    let refused = store.cancel_with(&user(1), &event(1), options).await.unwrap_err();
    assert_eq!(refused.effect(), Effect::NotApplied, "{refused:?}");
    assert!(refused.is_retryable() && !until.has_passed(), "{refused:?}");
    store.has_rsvped(&user(1), &event(1)).await.unwrap();
    store.cancel(&user(1), &event(1)).await.unwrap();
    assert!(until.has_passed(), "it was acknowledged {:?} too early", until.remaining());
    assert_not_there(&store).await;
}

/// The server stands still until the write was given up, so that it has not refused a fence yet.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_fence_the_next_write_waits_before_a_fence_is_refused() {
    let server = RedisServer::start().await;
    let user_of_app = ["ACL", "SETUSER", "app", "reset", "on", ">secret", "~*"];
    server.command(&[user_of_app.as_slice(), &["+@all", "-client|kill"]].concat()).await;
    let url = format!("redis://app:secret@127.0.0.1:{}?response_timeout=500ms", server.port());
    let store = crate::support::open(&url).await;
    for _ in 0..4 {
        // Every connection is there.
        store.cancel(&user(1), &event(1)).await.unwrap();
    }
    server.pause().await;
    let error = rsvp_in_vain(&store).await;
    let until = error.retry_at().unwrap_or_else(|| panic!("nobody can tell: {error:?}"));
    server.resume().await;
    store.cancel(&user(1), &event(1)).await.unwrap();
    assert!(until.has_passed(), "it was acknowledged {:?} too early", until.remaining());
    assert_not_there(&store).await;
}

/// A replacement that ends between the read and the transaction. Its connection watches the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_not_replaced_in_time_disturbs_no_other_write() {
    let pair = RedisServer::builder().start_replicated().await;
    let server = pair.primary();
    let user_of_app = ["ACL", "SETUSER", "app", "reset", "on", ">secret", "~*"];
    server.command(&[user_of_app.as_slice(), &["+@all", "-client|kill"]].concat()).await;
    let address = format!("redis://app:secret@127.0.0.1:{}", server.port());
    let store =
        crate::support::open(&format!("{address}?response_timeout=500ms&wait_replicas=1")).await;
    // Writes wait for this one, which nobody can stop.
    server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    assert!(!rsvp_in_vain(&store).await.effect().is_settled());
    server.command(&["CLIENT", "UNPAUSE"]).await;
    let (name, label) = (LabelName::new("shard").unwrap(), Label::new("1").unwrap());
    let options = WriteOptions::default().with_timeout(Duration::from_millis(100));
    let refused = store.replace_label(&name, None, &label, &options).await.unwrap_err();
    assert_eq!(refused.effect(), Effect::NotApplied, "{refused:?}");
    // Another writer replaces it.
    server.command(&["SET", "rsvp:l:{shard}", "2"]).await;
    store.rsvp(&user(2), &event(1)).await.unwrap();
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), Label::new("2").ok());
}
