//! Every call returns by its deadline, even if the server never answers.

use std::time::Duration;

use rsvp_core::{
    Label, LabelName, Operation, ReadOptions, Result, RsvpStore, WriteOptions, async_trait,
};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::servers::{Bounds, PostgresServer, Proxy, Silence, Unbounded, unbounded_calls};
use rsvp_testkit::{Stub, Stubbed};

use crate::support::{config, open, through};

const CONNECTION: Duration = Duration::from_millis(400);
const STATEMENT: Duration = Duration::from_millis(1_500);

const BOUNDS: Bounds = Bounds {
    // Less than a statement takes without a deadline.
    deadline: Duration::from_millis(300),
    // A second more, for the server to report the end of the time.
    without_deadline: CONNECTION.saturating_add(STATEMENT).saturating_add(Duration::from_secs(1)),
    grace: Duration::from_millis(700),
};

/// Returns the calls that are late on a silent server, on Postgres stores wrapped by `around`.
async fn late<S: RsvpStore>(around: impl Fn(PostgresStore) -> S) -> Vec<Unbounded> {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let config = config(&through(proxy.port()))
        .with_pool_size(2)
        .with_acquire_timeout(CONNECTION)
        .with_connect_timeout(CONNECTION)
        .with_statement_timeout(STATEMENT);
    unbounded_calls(&proxy, async || around(open(config.clone()).await), BOUNDS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_returns_by_its_deadline() {
    let late = late(|store| store).await;
    assert!(late.is_empty(), "{late:#?}");
}

/// A store that forgets the deadlines of its labels.
#[derive(Debug)]
struct Forgetful(PostgresStore);

#[async_trait]
impl Stub for Forgetful {
    fn inner(&self) -> &dyn RsvpStore {
        &self.0
    }

    async fn label(&self, name: &LabelName, _: &ReadOptions) -> Result<Option<Label>> {
        self.0.label(name, &ReadOptions::strong()).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        _: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.0.replace_label(name, expected, value, &WriteOptions::default()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_a_deadline_is_found() {
    let late = late(|store| Stubbed(Forgetful(store))).await;
    let found: Vec<_> = late.iter().map(|late| (late.silence, late.operation)).collect();
    let labels = [Operation::Label, Operation::ReplaceLabel];
    assert_eq!(found, labels.map(|operation| (Silence::Stalled, operation)), "{late:#?}");
}
