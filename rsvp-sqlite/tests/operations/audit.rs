//! Counts that something else has broken are found and mended.

use rsvp_core::{Finding, FindingKind, RsvpStore, RsvpStoreExt};

use crate::support::{Place, event, fill};

#[tokio::test]
async fn a_wrong_count_is_found_and_mended_and_a_left_over_name_goes() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 20, 2500).await;
    let shell = place.shell();
    shell
        .execute_batch(
            "UPDATE events SET count = 7 WHERE name = 'event number 3';
             UPDATE events SET count = -1 WHERE name = 'event number 2400';
             INSERT INTO events (name, count) VALUES ('nobody comes', 0);",
        )
        .unwrap();
    let maintenance = store.maintenance().unwrap();
    let wrong = |n, counted| Finding::new(FindingKind::Count { held: 20, counted }, event(n), None);
    let left_over = Finding::new(FindingKind::LeftOver, "nobody comes".parse().unwrap(), None);
    let expected = [wrong(2400, -1), wrong(3, 7), left_over];
    let audit = maintenance.audit().await.unwrap();
    assert_eq!((audit.checked, audit.findings.as_slice()), (2501, expected.as_slice()));
    assert!(store.rsvp_count(&event(2400)).await.is_err(), "no wrong count is given");

    assert_eq!(maintenance.repair().await.unwrap().findings, expected);
    assert_eq!(maintenance.audit().await.unwrap().findings, []);
    assert_eq!(store.rsvp_count(&event(2400)).await.unwrap().value, 20);
    assert_eq!(store.rsvp_count(&event(3)).await.unwrap().value, 20);
}
