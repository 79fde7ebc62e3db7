//! A store that hangs, with the real clock: the moments of a call are never equal there.

use std::time::Duration;

use rsvp_core::layers::{CountCacheConfig, LayerExt};
use rsvp_core::{Consistency, Error, ReadOptions, RsvpStoreExt};
use tokio::time::{Instant, sleep, timeout};

use crate::event;
use crate::probe::Probe;

fn bounded() -> ReadOptions {
    Consistency::Bounded(Duration::from_secs(5)).into()
}

#[tokio::test]
async fn a_count_of_a_hanging_store_ends_without_a_deadline() {
    let probe = Probe::new();
    let cache = probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    probe.shut_until_the_deadline();
    let fair = event(1_u64);
    let call = cache.rsvp_count_with(&fair, bounded());
    let answer = timeout(Duration::from_secs(25), call).await.expect("it ends");
    assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
    assert_eq!(probe.batches(), [1], "one read");
}

#[tokio::test]
async fn an_old_count_is_served_at_once_while_the_store_hangs() {
    let probe = Probe::new();
    let config = CountCacheConfig::default()
        .with_max_age(Duration::from_millis(100))
        .with_stale_if_error(Duration::from_secs(600));
    let cache = probe.clone().with_count_cache(config).unwrap();
    let fair = event(1_u64);
    cache.rsvp_count(&fair).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    probe.shut_until_the_deadline();
    // The first calls wait for the store until their deadlines. Once a read has failed, none does.
    let (began, mut last) = (Instant::now(), Duration::MAX);
    while began.elapsed() < Duration::from_secs(13) {
        let asked = Instant::now();
        let options = bounded().with_timeout(Duration::from_millis(300));
        assert_eq!(cache.rsvp_count_with(&fair, options).await.unwrap().value, 0);
        last = asked.elapsed();
        sleep(Duration::from_millis(20)).await;
    }
    assert!(last < Duration::from_millis(150), "{last:?}");
}
