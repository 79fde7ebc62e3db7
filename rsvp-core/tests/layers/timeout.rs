//! Every wait ends.

use std::time::Duration;

use rsvp_core::layers::{LayerExt, TimeoutConfig};
use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt};
use tokio::time::Instant;

use crate::probe::Probe;
use crate::{event, user};

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_in_time() {
    let probe = Probe::new();
    let (reads, writes) = (Duration::from_millis(50), Duration::from_millis(150));
    let config = TimeoutConfig::new(reads).with_writes(writes);
    let store = probe.clone().with_timeout(config).unwrap();
    let (ann, fair) = (user(1_u64), event(1_u64));
    store.rsvp(&ann, &fair).await.unwrap();
    probe.shut();
    for (call, limit, effect) in [
        (store.rsvp(&ann, &fair).await.map(drop), writes, Effect::Unknown),
        (store.remove_event(&fair).await.map(drop), writes, Effect::Unknown),
        (store.has_rsvped(&ann, &fair).await.map(drop), reads, Effect::NotApplied),
        (store.rsvp_count(&fair).await.map(drop), reads, Effect::NotApplied),
        (store.ready().await, reads, Effect::NotApplied),
    ] {
        let error = call.unwrap_err();
        assert!(matches!(error, Error::TimedOut { after, .. } if after == limit), "{error}");
        assert_eq!(error.effect(), effect, "{error}");
    }
    let began = Instant::now();
    assert!(store.has_rsvped(&ann, &fair).await.is_err());
    assert!(began.elapsed() >= reads && began.elapsed() < reads + Duration::from_millis(2));
    probe.open();
    assert!(store.has_rsvped(&ann, &fair).await.unwrap(), "nothing is left behind");
}

#[test]
fn a_limit_is_within_a_millisecond_and_an_hour() {
    for limit in [Duration::ZERO, Duration::from_secs(3601)] {
        let error = Probe::new().with_timeout(TimeoutConfig::new(limit)).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "timeout", .. }), "{error}");
        let config = TimeoutConfig::new(Duration::from_secs(1)).with_writes(limit);
        let error = Probe::new().with_timeout(config).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "write_timeout", .. }), "{error}");
    }
}
