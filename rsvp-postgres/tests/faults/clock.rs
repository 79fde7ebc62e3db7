//! A server whose clock is set.

use rsvp_core::{Label, LabelName, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_testkit::servers::PostgresServer;

use crate::support::{assert_full_capacity, config, event, open, user};

const POOL: usize = 3;

/// Shadows the function of the server's clock with one that adds a number of hours.
const SETTABLE_CLOCK: &str = "CREATE SCHEMA fake;
    CREATE TABLE fake.hours AS SELECT 0 AS ahead;
    CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        $$ SELECT pg_catalog.clock_timestamp() + make_interval(hours => ahead) FROM fake.hours $$;
    ALTER DATABASE postgres SET search_path = fake, pg_catalog";

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_when_the_servers_clock_is_set() {
    let server = PostgresServer::start().await;
    server.execute(SETTABLE_CLOCK).await;
    let store = open(config(&server.url("postgres")).with_pool_size(POOL)).await;
    let fair = event("fair");
    let (name, options) = (LabelName::new("shard").unwrap(), WriteOptions::default());
    let mut before = None;
    for hours in ["2", "-3", "1"] {
        assert_full_capacity(&store, POOL).await;
        server.execute(&format!("UPDATE fake.hours SET ahead = {hours}")).await;
        for n in 0..2 * POOL {
            let written = store.rsvp(&user(format!("{hours} {n}")), &fair).await.unwrap();
            assert!(written.outcome.is_applied());
        }
        store.remove_user(&user(format!("{hours} 0"))).await.unwrap();
        let label = Label::new(hours).unwrap();
        let held = store.replace_label(&name, before.as_ref(), &label, &options).await.unwrap();
        assert_eq!(held, before);
        before = Some(label);
    }
    assert_eq!(store.rsvp_count(&fair).await.unwrap().value, 3 * (2 * POOL as u64 - 1));
}
