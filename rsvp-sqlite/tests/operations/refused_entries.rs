//! An entry that the engine refuses fails alone.

use rsvp_core::{Effect, Error, Outcome, RsvpStore, RsvpStoreExt, Write, WriteOptions};

use crate::support::{Place, event, user};

const TRIGGERS: &str = "
    CREATE TRIGGER refuse_user BEFORE INSERT ON rsvps
        WHEN NEW.user = (SELECT id FROM users WHERE name = 'user number 13')
        BEGIN SELECT RAISE(ABORT, 'no'); END;
    CREATE TRIGGER refuse_event BEFORE INSERT ON events WHEN NEW.name = 'event number 13'
        BEGIN SELECT RAISE(ABORT, 'no'); END;";

#[tokio::test]
async fn an_entry_that_a_trigger_refuses_fails_alone_and_leaves_no_name() {
    let place = Place::new();
    let store = place.open().await;
    place.shell().execute_batch(TRIGGERS).unwrap();
    let pairs = [(1, 1), (13, 2), (2, 13), (2, 2), (13, 13), (3, 1)];
    let writes = pairs.map(|(u, e)| Write::rsvp(user(u), event(e)));
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    for ((u, e), result) in pairs.into_iter().zip(&receipt.results) {
        match result {
            Err(error) => {
                assert!(u == 13 || e == 13, "{u} {e}: {error:?}");
                assert!(matches!(error, Error::Backend { .. }), "{error:?}");
                assert_eq!(error.effect(), Effect::NotApplied);
            }
            Ok(written) => assert_eq!(written.outcome, Outcome::Applied, "{u} {e}"),
        }
    }
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, 2);
    assert_eq!(store.rsvp_count(&event(2)).await.unwrap().value, 1);
    let names = "SELECT count(*) FROM (SELECT name FROM users UNION ALL SELECT name FROM events)
                 WHERE name LIKE '% 13'";
    assert_eq!(place.shell().query_row(names, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let audit = store.maintenance().unwrap().audit().await.unwrap();
    assert_eq!(audit.findings, []);
}

/// Calls of others in the same transaction.
#[tokio::test]
async fn a_call_that_fails_takes_no_other_down() {
    let place = Place::new();
    let store = place.open().await;
    place.shell().execute_batch(TRIGGERS).unwrap();
    let calls = (0..40).map(|n| {
        let (store, event) = (store.clone(), event(if n % 4 == 0 { 13 } else { 1 }));
        async move { store.rsvp(&user(100 + n), &event).await }
    });
    for (n, answer) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.is_err(), n % 4 == 0, "{n}: {answer:?}");
    }
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, 30);
}
