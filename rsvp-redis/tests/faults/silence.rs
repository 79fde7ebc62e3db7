//! A server that falls silent is waited for no longer than configured, and used again by the same
//! store.

use crate::support::calls::{
    CONNECTIONS, HALF_A_SECOND, IMPATIENT, SLACK, assert_all_well, assert_unavailable, calls, store,
};
use crate::support::eventually;
use futures_util::future::join_all;
use rsvp_core::{Effect, Error, Operation};
use rsvp_testkit::PendingCall;
use rsvp_testkit::servers::{Proxy, RedisServer};
use tokio::time::Instant;

/// Whether the server can be asked about a write that it did not answer.
#[derive(Clone, Copy)]
enum Expected {
    Settled,
    Pending,
}

/// A call on a connection that looks alive and is not.
async fn assert_times_out((operation, call): PendingCall<'_>, expected: Expected) {
    let begin = Instant::now();
    let error = call.await.unwrap_err();
    let took = begin.elapsed();
    assert!((HALF_A_SECOND..HALF_A_SECOND + SLACK).contains(&took), "{operation} took {took:?}");
    let Error::TimedOut { operation: of, effect, after, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*of, *after), (operation, HALF_A_SECOND));
    match expected {
        Expected::Settled if operation == Operation::Write => assert_eq!(*effect, Effect::Unknown),
        Expected::Pending if operation == Operation::Write => {
            assert!(!effect.is_settled(), "nobody can tell that it will not come: {error:?}");
        }
        // The others begin with a read.
        _ => assert_eq!(*effect, Effect::NotApplied, "{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_bounded_when_the_network_falls_silent_and_works_when_it_is_back() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), IMPATIENT).await;
    for at in 0..calls(&store).len() {
        assert_all_well(&store).await;
        proxy.stall().await;
        assert_times_out(calls(&store).swap_remove(at), Expected::Pending).await;
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
    assert_times_out(calls(&store).swap_remove(0), Expected::Settled).await;
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
