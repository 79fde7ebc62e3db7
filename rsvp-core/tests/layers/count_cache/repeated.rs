//! Writes that a store inside has repeated.

use std::sync::Arc;

use rsvp_core::layers::{CountCache, CountCacheConfig, LayerExt, RetryConfig, RetryStore};
use rsvp_core::{Effect, Error, Operation, Outcome, RsvpStoreExt, Write};

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{bounded, event, number, user};
use crate::{counts, write_all};

type Repeating = CountCache<RetryStore<Arc<Inner>>>;

fn repeating() -> (Repeating, Arc<Inner>) {
    let inner = Arc::new(Inner::default());
    let store = inner.clone().with_retry(RetryConfig::default()).unwrap();
    (store.with_count_cache(CountCacheConfig::default()).unwrap(), inner)
}

fn failed(effect: Effect) -> Error {
    Error::unavailable(Operation::Write, effect, None)
}

#[tokio::test(start_paused = true)]
async fn after_a_repeated_write_the_count_is_read_again() {
    for (point, outcome) in [(Point::After, Outcome::Unchanged), (Point::Before, Outcome::Applied)]
    {
        let (cache, inner) = repeating();
        let fair = event("fair");
        number(&cache, &fair, 5000).await;
        inner.writes.fail_once(point, failed(Effect::Unknown));
        let receipt = cache.rsvp(&user("ann"), &fair).await.unwrap();
        assert_eq!((receipt.outcome, receipt.repeated), (outcome, true));
        for _ in 0..3 {
            assert_eq!(number(&cache, &fair, 5000).await, 1, "{point:?}");
        }
        assert_eq!(inner.reads(), 2, "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_write_that_was_only_refused_before_no_count_is_read_again() {
    let (cache, inner) = repeating();
    let fair = event("fair");
    number(&cache, &fair, 5000).await;
    for outcome in [Outcome::Applied, Outcome::Unchanged] {
        inner.writes.fail_once(Point::Before, failed(Effect::NotApplied));
        let receipt = cache.rsvp(&user("ann"), &fair).await.unwrap();
        assert_eq!((receipt.outcome, receipt.repeated), (outcome, false));
        assert_eq!(number(&cache, &fair, 5000).await, 1);
    }
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_repeated_batch_every_event_is_read_again_and_no_other() {
    let (cache, inner) = repeating();
    let events = ["fair", "gala", "ball"].map(event);
    counts(&cache, &events, bounded(5000)).await.unwrap();
    inner.writes.fail_once(Point::After, failed(Effect::Unknown));
    let writes = [0, 1].map(|at| Write::rsvp(user("ann"), events[at].clone()));
    write_all(&cache, &writes).await.unwrap();
    let counted = counts(&cache, &events, bounded(5000)).await.unwrap();
    let values: Vec<_> = counted.iter().map(|count| count.value).collect();
    assert_eq!(values, [1, 1, 0]);
    let asked: Vec<_> = inner.log().into_iter().map(|(events, _)| events.len()).collect();
    assert_eq!(asked, [3, 2]);
}
