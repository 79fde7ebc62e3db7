//! With a synchronous standby, an acknowledged write is on both servers.
//! While the standby is away, writes stop and everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rsvp_core::{
    Effect, Error, Label, LabelName, Outcome, PageLimit, RsvpStore, RsvpStoreExt, WriteOptions,
};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::servers::{ReplicatedPostgres, Replication};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{assert_counts_are_exact, config, event, eventually, open, user};

/// How long the standby is away, in seconds. Defaults to 8.
const AWAY: &str = "RSVP_STANDBY_AWAY";

async fn synchronous(max_connections: &str) -> ReplicatedPostgres {
    let pair = ReplicatedPostgres::builder().replication(Replication::Synchronous);
    pair.setting("max_connections", max_connections).start().await
}

fn briefly() -> WriteOptions {
    WriteOptions::default().with_timeout(Duration::from_millis(600))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_standby_does_not_confirm_is_not_acknowledged() {
    let pair = synchronous("100").await;
    let config = config(&pair.primary().url("postgres"));
    let store = open(config.with_statement_timeout(Duration::from_millis(500))).await;
    let (ann, fair) = (user("ann"), event("fair"));
    pair.standby().pause().await;

    let error = store.rsvp_with(&ann, &fair, briefly()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::Unknown, "the primary has it, the standby may not");
    let error = store.remove_event_step(&fair, PageLimit::MAX, &briefly()).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    let error = store.ready().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "a write would not be accepted: {error:?}");

    pair.standby().resume().await;
    store.ready().await.unwrap();
    store.rsvp(&ann, &fair).await.unwrap();
    assert_counts_are_exact(&store).await;
}

/// A repeated call fails, too, while the standby is away.
async fn assert_unconfirmed<T: std::fmt::Debug>(answer: rsvp_core::Result<T>) {
    let error = answer.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_is_acknowledged_only_once_the_standby_has_the_first() {
    let pair = synchronous("100").await;
    let store = open(config(&pair.primary().url("postgres"))).await;
    let (ann, bob, fair, ball) = (user("ann"), user("bob"), event("fair"), event("ball"));
    let (name, old, new) = (LabelName::new("a").unwrap(), Label::new("1").unwrap(), "2");
    let new = Label::new(new).unwrap();
    let set = WriteOptions::default();
    store.rsvp(&bob, &fair).await.unwrap();
    store.rsvp(&bob, &ball).await.unwrap();
    store.replace_label(&name, None, &old, &set).await.unwrap();
    pair.standby().kill().await;

    for _ in 0..2 {
        assert_unconfirmed(store.rsvp_with(&ann, &fair, briefly()).await).await;
        assert_unconfirmed(store.cancel_with(&bob, &fair, briefly()).await).await;
        let step = store.remove_event_step(&ball, PageLimit::MAX, &briefly()).await;
        assert_unconfirmed(step).await;
        let step = store.remove_user_step(&bob, PageLimit::MAX, &briefly()).await;
        assert_unconfirmed(step).await;
        let label = store.replace_label(&name, Some(&old), &new, &briefly()).await;
        assert_unconfirmed(label).await;
    }

    pair.standby().start_again().await;
    store.ready().await.unwrap();
    assert_eq!(store.rsvp(&ann, &fair).await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(store.cancel(&bob, &fair).await.unwrap().outcome, Outcome::Unchanged);
    pair.primary().kill().await;
    pair.promote().await;
    let store = PostgresStore::open(config(&pair.primary().url("postgres"))).await.unwrap();
    assert!(store.has_rsvped(&ann, &fair).await.unwrap());
    assert!(!store.has_rsvped(&bob, &fair).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_wait_somebody_cancels_is_not_acknowledged() {
    let pair = synchronous("100").await;
    let settings = config(&pair.primary().url("postgres"));
    let store = open(settings.with_statement_timeout(Duration::from_secs(4))).await;
    let (ann, fair) = (user("ann"), event("fair"));
    store.rsvp(&user("bob"), &fair).await.unwrap();
    pair.standby().kill().await;
    let writing = tokio::spawn({
        let (store, ann, fair) = (store.clone(), ann.clone(), fair.clone());
        async move { store.rsvp(&ann, &fair).await }
    });
    let primary = pair.primary();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    eventually("the commit to wait", async || primary.execute(waiting).await.trim() == "1").await;
    sleep(Duration::from_millis(300)).await;
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                  WHERE wait_event = 'SyncRep'";
    primary.execute(cancel).await;
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_away_stops_writes_and_nothing_else() {
    let away = std::env::var(AWAY).map_or(8, |seconds| seconds.parse().unwrap());
    let away = Duration::from_secs(away);
    let pair = synchronous("30").await;
    let url = pair.primary().url("postgres");
    let settings = || {
        config(&url)
            .with_statement_timeout(Duration::from_secs(1))
            .with_acquire_timeout(Duration::from_secs(1))
    };
    let store = open(settings()).await;
    let (ann, fair) = (user("ann"), event("fair"));
    store.rsvp(&ann, &fair).await.unwrap();
    pair.standby().kill().await;

    // 1. Writers and probes that go on all the time.
    let over = Arc::new(AtomicBool::new(false));
    let (shed, unknown) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for writer in 0..10 {
        let (store, over) = (store.clone(), over.clone());
        let (shed, unknown) = (shed.clone(), unknown.clone());
        callers.spawn(async move {
            for n in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                match store.rsvp(&user(n), &event(writer)).await {
                    Err(error) if error.effect() == Effect::NotApplied => {
                        shed.fetch_add(1, Ordering::SeqCst)
                    }
                    Err(error) => {
                        assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
                        unknown.fetch_add(1, Ordering::SeqCst)
                    }
                    // The standby is back.
                    Ok(_) => break,
                };
                let _ = store.ready().await;
            }
        });
    }

    // 2. Reads go on, the server has room, and so has another process.
    let began = Instant::now();
    let (mut slowest, mut most_sessions) = (Duration::ZERO, 0);
    while began.elapsed() < away {
        let asked = Instant::now();
        assert!(store.has_rsvped(&ann, &fair).await.unwrap());
        store.rsvp_count(&fair).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let sessions: usize = pair.primary().execute(sessions).await.trim().parse().unwrap();
        most_sessions = most_sessions.max(sessions);
        let other = PostgresStore::open(settings()).await.unwrap();
        assert!(other.has_rsvped(&ann, &fair).await.unwrap());
        other.close().await.unwrap();
        sleep(Duration::from_millis(200)).await;
    }
    let (shed, unknown) = (shed.load(Ordering::SeqCst), unknown.load(Ordering::SeqCst));
    println!(
        "{away:?}: slowest reads {slowest:?}, at most {most_sessions} sessions, {shed} refused, {unknown} unknown"
    );
    // Ten of the store, two control connections, and those of the other process and of this test.
    assert!(most_sessions <= 10 + 2 + 3, "{most_sessions}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // The writes under way when it left, and one at a time afterwards. The others are refused.
    assert!(unknown as u64 <= 20 + 2 * away.as_secs(), "{shed} refused, {unknown} unknown");
    assert!(shed > 0);

    // 3. Writes come back with the standby.
    pair.standby().start_again().await;
    eventually("a write to succeed", async || store.rsvp(&ann, &fair).await.is_ok()).await;
    over.store(true, Ordering::SeqCst);
    callers.join_all().await;
    store.ready().await.unwrap();
    assert_counts_are_exact(&store).await;
}
