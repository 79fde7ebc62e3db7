//! Every call of the store, one after another.

use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::{Effect, Error, Maintenance, Operation, Result};
use rsvp_redis::RedisStore;
use rsvp_testkit::{PendingCall, every_call};

use crate::support::open;

pub(crate) const HALF_A_SECOND: Duration = Duration::from_millis(500);
pub(crate) const IMPATIENT: &str = "connect_timeout=500ms&response_timeout=500ms";
/// The delay that a busy machine may add.
pub(crate) const SLACK: Duration = Duration::from_secs(2);
pub(crate) const CONNECTIONS: usize = 2;

pub(crate) async fn store(port: u16, parameters: &str) -> RedisStore {
    open(&format!("redis://127.0.0.1:{port}?{parameters}")).await
}

/// Every call on the shared connections. To replace a label takes one that no other call uses, and to
/// close the store ends them.
pub(crate) fn calls(store: &RedisStore) -> Vec<PendingCall<'_>> {
    let mut calls = every_call(store, None);
    let others = [Operation::ReplaceLabel, Operation::Close];
    calls.retain(|(operation, _)| !others.contains(operation));
    let repair = async { store.repair_step(None).await.map(drop) };
    calls.push((Operation::Repair, repair.boxed()));
    calls
}

/// Every call succeeds at once, on every connection.
pub(crate) async fn assert_all_well(store: &RedisStore) {
    for _ in 0..CONNECTIONS {
        for (operation, call) in calls(store) {
            call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
        }
    }
}

pub(crate) fn assert_unavailable(answer: Result<()>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied, "nothing was sent: {error:?}");
}
