//! Every call of the store, one after another.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::{
    Effect, Error, LabelName, Maintenance, Operation, PageLimit, ReadOptions, Result, Rsvp,
    RsvpStore, Write, WriteOptions,
};
use rsvp_redis::RedisStore;

use crate::support::{counts, event, held, open, user, write};

pub(crate) const HALF_A_SECOND: Duration = Duration::from_millis(500);
pub(crate) const IMPATIENT: &str = "connect_timeout=500ms&response_timeout=500ms";
/// The delay that a busy machine may add.
pub(crate) const SLACK: Duration = Duration::from_secs(2);
pub(crate) const CONNECTIONS: usize = 2;

pub(crate) async fn store(port: u16, parameters: &str) -> RedisStore {
    open(&format!("redis://127.0.0.1:{port}?{parameters}")).await
}

pub(crate) type Call<'a> = (Operation, BoxFuture<'a, Result<()>>);

/// Every call there is.
pub(crate) fn calls(store: &RedisStore) -> Vec<Call<'_>> {
    let writes = [Write::rsvp(user(1), event(1)), Write::cancel(user(2), event(1))];
    let pairs = [Rsvp::new(user(1), event(1))];
    vec![
        (Operation::Write, async move { write(store, &writes).await.map(drop) }.boxed()),
        (Operation::HasRsvped, async move { held(store, &pairs).await.map(drop) }.boxed()),
        (Operation::RsvpCount, async { counts(store, &[event(1)]).await.map(drop) }.boxed()),
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
            async {
                let options = WriteOptions::default();
                store.remove_event_step(&event(9), PageLimit::MIN, &options).await.map(drop)
            }
            .boxed(),
        ),
        (
            Operation::RemoveUser,
            async {
                let options = WriteOptions::default();
                store.remove_user_step(&user(9), PageLimit::MIN, &options).await.map(drop)
            }
            .boxed(),
        ),
        (
            Operation::Label,
            async {
                let name = LabelName::new("shard")?;
                store.label(&name, &ReadOptions::strong()).await.map(drop)
            }
            .boxed(),
        ),
        (Operation::Repair, async { store.repair_step(None).await.map(drop) }.boxed()),
        (Operation::Ready, async { store.ready().await }.boxed()),
    ]
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
