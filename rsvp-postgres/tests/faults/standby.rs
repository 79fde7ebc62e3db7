//! With a synchronous standby, nothing is acknowledged that only the primary has.

use std::time::Duration;

use rsvp_core::{Effect, Error, PageLimit, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_testkit::servers::{ReplicatedPostgres, Replication};

use crate::support::{assert_counts_are_exact, config, event, open, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_standby_does_not_confirm_is_not_acknowledged() {
    let pair = ReplicatedPostgres::builder().replication(Replication::Synchronous).start().await;
    let config = config(&pair.primary().url("postgres"));
    let store = open(config.with_statement_timeout(Duration::from_millis(500))).await;
    let (ann, fair) = (user("ann"), event("fair"));
    pair.standby().pause().await;

    let options = WriteOptions::default().with_timeout(Duration::from_millis(600));
    let error = store.rsvp_with(&ann, &fair, options.clone()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::Unknown, "the primary has it, the standby may not");
    let error = store.remove_event_step(&fair, PageLimit::MAX, &options).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    let error = store.ready().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "a write would not be accepted: {error:?}");

    pair.standby().resume().await;
    store.ready().await.unwrap();
    store.rsvp(&ann, &fair).await.unwrap();
    assert_counts_are_exact(&store).await;
}
