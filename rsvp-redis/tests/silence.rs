//! A server that falls silent, goes away or comes back is waited for no longer than configured,
//! and used again without a new store.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print")]

mod support;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use rsvp_core::{
    Consistency, Effect, Error, Operation, PageLimit, Result, Rsvp, RsvpStore, RsvpStoreExt, Write,
};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisServer};
use support::{event, eventually, open, user};
use tokio::task::JoinSet;
use tokio::time::Instant;

const HALF_A_SECOND: Duration = Duration::from_millis(500);
const IMPATIENT: &str = "connect_timeout=500ms&response_timeout=500ms";
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 2;
const STRONG: &Consistency = &Consistency::Strong;

async fn store(port: u16, parameters: &str) -> RedisStore {
    open(&format!("redis://127.0.0.1:{port}?{parameters}")).await
}

type Call<'a> = (Operation, BoxFuture<'a, Result<()>>);

/// Every call there is.
fn calls(store: &RedisStore) -> Vec<Call<'_>> {
    let writes = [Write::rsvp(user(1), event(1)), Write::cancel(user(2), event(1))];
    let pairs = [Rsvp::new(user(1), event(1))];
    vec![
        (Operation::Write, async move { store.write_batch(&writes).await.map(drop) }.boxed()),
        (
            Operation::HasRsvped,
            async move { store.has_rsvped_batch(&pairs, STRONG).await.map(drop) }.boxed(),
        ),
        (
            Operation::RsvpCounts,
            async { store.rsvp_counts(&[event(1)], STRONG).await.map(drop) }.boxed(),
        ),
        (
            Operation::Attendees,
            async { store.attendees_page(&event(1), &Default::default()).await.map(drop) }.boxed(),
        ),
        (
            Operation::EventsOf,
            async { store.events_of_page(&user(1), &Default::default()).await.map(drop) }.boxed(),
        ),
        (Operation::Scan, async { store.scan_page(&Default::default()).await.map(drop) }.boxed()),
        (
            Operation::RemoveEvent,
            async { store.remove_event_step(&event(9), PageLimit::MIN).await.map(drop) }.boxed(),
        ),
        (
            Operation::RemoveUser,
            async { store.remove_user_step(&user(9), PageLimit::MIN).await.map(drop) }.boxed(),
        ),
        (
            Operation::Repair,
            async { store.reconcile_step(None, PageLimit::MIN).await.map(drop) }.boxed(),
        ),
        (Operation::Ready, async { store.ready().await }.boxed()),
    ]
}

/// Every call succeeds at once, on every connection.
async fn assert_all_well(store: &RedisStore) {
    for _ in 0..CONNECTIONS {
        for (operation, call) in calls(store) {
            call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
        }
    }
}

/// A call on a connection that looks alive and is not.
async fn assert_times_out((operation, call): Call<'_>) {
    let begin = Instant::now();
    let error = call.await.unwrap_err();
    let took = begin.elapsed();
    assert!((HALF_A_SECOND..HALF_A_SECOND + SLACK).contains(&took), "{operation} took {took:?}");
    let Error::TimedOut { operation: of, effect, after, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*of, *after), (operation, HALF_A_SECOND));
    let expected = if operation.is_write() { Effect::Unknown } else { Effect::NotApplied };
    assert_eq!(*effect, expected, "{error:?}");
}

fn assert_unavailable(answer: Result<()>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied, "nothing was sent: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_bounded_when_the_network_falls_silent_and_works_when_it_is_back() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), IMPATIENT).await;
    for at in 0..calls(&store).len() {
        assert_all_well(&store).await;
        proxy.stall().await;
        assert_times_out(calls(&store).swap_remove(at)).await;
        // No connection is left that looks alive, and none can be made.
        let begin = Instant::now();
        assert_unavailable(calls(&store).swap_remove(at).1.await);
        assert!(begin.elapsed() < HALF_A_SECOND + SLACK, "{:?}", begin.elapsed());
        if at % 2 == 0 {
            proxy.cut().await;
        }
        proxy.resume().await;
    }
    assert_all_well(&store).await;
    eventually("closed connections to go", async || proxy.open() <= CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_silent_answer_replaces_every_connection_to_that_server() {
    let (silent, other) = tokio::join!(RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(silent.port()).await;
    let store = store(proxy.port(), IMPATIENT).await;
    assert_all_well(&store).await;
    // The connections that exist stay with the server that says nothing any more.
    silent.pause().await;
    proxy.retarget(other.port());
    assert_times_out(calls(&store).swap_remove(0)).await;
    assert_all_well(&store).await;
    let count = other.command(&["SCARD", "rsvp:e:{0:1}"]).await;
    assert_eq!(count, "1", "what succeeded is on the other server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_given_up_and_found_again() {
    let server = RedisServer::start().await;
    let store = store(server.port(), IMPATIENT).await;
    assert_all_well(&store).await;
    server.pause().await;
    let begin = Instant::now();
    let answers = join_all(calls(&store).into_iter().map(|(_, call)| call)).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert!(begin.elapsed() < HALF_A_SECOND + SLACK, "{:?}", begin.elapsed());
    server.resume().await;
    assert_all_well(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_while_nobody_called_is_not_noticed() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "").await;
    for _ in 0..calls(&store).len() {
        assert_all_well(&store).await;
        server.restart().await;
    }
    for at in 0..calls(&store).len() {
        assert_all_well(&store).await;
        server.restart().await;
        let (operation, call) = calls(&store).swap_remove(at);
        call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
    }
    assert!(store.has_rsvped(&user(1), &event(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_said_to_be_so_at_once() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "connect_timeout=50s&response_timeout=50s").await;
    assert_all_well(&store).await;
    server.kill().await;
    for (_, call) in calls(&store) {
        let begin = Instant::now();
        assert_unavailable(call.await);
        assert!(begin.elapsed() < SLACK, "{:?}", begin.elapsed());
    }
    server.start_again().await;
    assert_all_well(&store).await;
}

/// A thousand callers, who all come back in time; their errors.
async fn a_thousand_callers(store: &RedisStore, bound: Duration) -> Vec<Error> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for n in 0..1000_u64 {
        let store = store.clone();
        callers.spawn(async move {
            match n % 2 {
                0 => store.rsvp(&user(n), &event(2)).await.map(drop),
                _ => store.has_rsvped(&user(n), &event(2)).await.map(drop),
            }
        });
    }
    let answers = callers.join_all().await;
    assert!(begin.elapsed() < bound + SLACK, "{:?}", begin.elapsed());
    answers.into_iter().map(Result::unwrap_err).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_find_out_together() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), IMPATIENT).await;
    assert_all_well(&store).await;

    // On connections that look alive.
    proxy.stall().await;
    let errors = a_thousand_callers(&store, 2 * HALF_A_SECOND).await;
    assert!(errors.iter().all(Error::is_retryable), "{errors:?}");
    // Connections are accepted and nothing is ever said.
    let before = proxy.accepted();
    let errors = a_thousand_callers(&store, HALF_A_SECOND).await;
    errors.into_iter().for_each(|error| assert_unavailable(Err(error)));
    let attempts = proxy.accepted() - before;
    assert!(attempts <= 2 * CONNECTIONS, "{attempts} connections for callers who came together");
    // Connections are refused.
    proxy.refuse().await;
    let errors = a_thousand_callers(&store, Duration::ZERO).await;
    errors.into_iter().for_each(|error| assert_unavailable(Err(error)));

    proxy.resume().await;
    assert_all_well(&store).await;
    eventually("closed connections to go", async || proxy.open() <= CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_may_be_under_way_is_refused_at_once() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), "max_in_flight=4&response_timeout=50s").await;
    proxy.stall().await;
    let pair = (user(1), event(1));
    let mut writes = Vec::new();
    for _ in 0..4 {
        let mut write = store.rsvp(&pair.0, &pair.1).boxed();
        assert!((&mut write).now_or_never().is_none(), "it is under way");
        writes.push(write);
    }
    for (operation, call) in calls(&store) {
        let error = call.now_or_never().expect("at once").unwrap_err();
        assert!(matches!(&error, Error::Overloaded { operation: of, .. } if *of == operation));
        assert_eq!((error.effect(), error.is_retryable()), (Effect::NotApplied, true));
    }
    // A write whose caller goes away keeps its place until it is done.
    drop(writes.pop());
    let error = store.ready().now_or_never().unwrap().unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    proxy.resume().await;
    for answer in join_all(writes).await {
        answer.unwrap();
    }
    eventually("the write without a caller", async || {
        let calls = (0..4).map(|_| store.ready());
        join_all(calls).await.iter().all(Result::is_ok)
    })
    .await;
}
