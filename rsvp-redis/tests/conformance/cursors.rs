//! A cursor belongs to one listing of one subject.

use crate::support::{event, open, prefix, user, write};
use rsvp_core::{Cursor, Error, Page, PageLimit, PageRequest, Result, RsvpStore, Write};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

fn assert_refused<T: std::fmt::Debug>(answer: Result<Page<T>>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "cursor", .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_event_or_user_is_refused() {
    for url in [RedisServer::shared().await.url(), RedisCluster::shared().await.url()] {
        let store = open(&format!("{url}?prefix={}&event_spread=2", prefix())).await;
        let pairs = (0..400).map(|n| Write::rsvp(user(n % 20), event(n / 20)));
        write(&store, &pairs.collect::<Vec<_>>()).await.unwrap();
        let first = PageRequest::default().with_limit(PageLimit::MIN);
        let at = |cursor: &Cursor| first.clone().with_cursor(cursor.clone());
        let of_event = store.attendees_page(&event(1), &first).await.unwrap().next.unwrap();
        let of_user = store.events_of_page(&user(1), &first).await.unwrap().next.unwrap();
        store.attendees_page(&event(1), &at(&of_event)).await.unwrap();
        store.events_of_page(&user(1), &at(&of_user)).await.unwrap();
        assert_refused(store.attendees_page(&event(2), &at(&of_event)).await);
        assert_refused(store.attendees_page(&event(1), &at(&of_user)).await);
        assert_refused(store.events_of_page(&user(2), &at(&of_user)).await);
        assert_refused(store.events_of_page(&user(1), &at(&of_event)).await);
        assert_refused(store.scan_page(&at(&of_event)).await);
    }
}
