//! Every wait ends.

use std::time::Duration;

use rsvp_core::layers::{LayerExt, TimeoutConfig};
use rsvp_core::{
    Deadline, Effect, Error, PageLimit, PageRequest, ReadOptions, RsvpStore, RsvpStoreExt,
    WriteOptions,
};
use tokio::time::Instant;

use crate::probe::Probe;
use crate::{event, user};

const READS: Duration = Duration::from_millis(50);
const WRITES: Duration = Duration::from_millis(150);
/// How much later than its deadline a call is dropped.
const GRACE: Duration = Duration::from_millis(250);

fn config() -> TimeoutConfig {
    TimeoutConfig::new(READS).with_writes(WRITES)
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_in_time() {
    let probe = Probe::new();
    let store = probe.clone().with_timeout(config()).unwrap();
    let (ann, fair) = (user(1_u64), event(1_u64));
    store.rsvp(&ann, &fair).await.unwrap();
    probe.shut_until_the_deadline();
    for (call, limit, effect) in [
        (store.rsvp(&ann, &fair).await.map(drop), WRITES, Effect::Unknown),
        (store.remove_event(&fair).await.map(drop), WRITES, Effect::Unknown),
        (store.has_rsvped(&ann, &fair).await.map(drop), READS, Effect::NotApplied),
        (store.rsvp_count(&fair).await.map(drop), READS, Effect::NotApplied),
        (store.ready().await, READS, Effect::NotApplied),
    ] {
        let error = call.unwrap_err();
        assert!(matches!(error, Error::TimedOut { after, .. } if after == limit), "{error}");
        assert_eq!(error.effect(), effect, "{error}");
    }
    let began = Instant::now();
    assert!(store.has_rsvped(&ann, &fair).await.is_err());
    assert!(began.elapsed() >= READS && began.elapsed() < READS + Duration::from_millis(2));
    probe.open();
    assert!(store.has_rsvped(&ann, &fair).await.unwrap(), "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_its_deadline_is_dropped_a_quarter_of_a_second_after_it() {
    let probe = Probe::new();
    let store = probe.clone().with_timeout(config()).unwrap();
    let (ann, fair) = (user(1_u64), event(1_u64));
    probe.shut();
    let soon = Duration::from_millis(20);
    for (call, limit) in [(0, WRITES), (1, READS)] {
        for own in [None, Some(soon)] {
            let (began, mut write) = (Instant::now(), WriteOptions::default());
            write.deadline = own.map(Deadline::after);
            let mut read = ReadOptions::strong();
            read.deadline = write.deadline;
            let error = match call {
                0 => store.rsvp_with(&ann, &fair, write).await.unwrap_err(),
                _ => store.has_rsvped_with(&ann, &fair, read).await.unwrap_err(),
            };
            let waited = own.unwrap_or(limit) + GRACE;
            // The store may still do the write, within the settling time after the deadline.
            let settled = began + own.unwrap_or(limit) + probe.settling_time();
            let effect = match call {
                0 => Effect::Pending(Deadline::at(settled)),
                _ => Effect::NotApplied,
            };
            assert_eq!((began.elapsed(), error.effect()), (waited, effect), "{error}");
            let told = matches!(error, Error::TimedOut { after, .. } if after == waited);
            assert!(told, "it says how long was waited: {error}");
        }
    }
    let began = Instant::now();
    store.ready().await.unwrap_err();
    assert_eq!(began.elapsed(), READS, "it has no deadline to keep");
}

#[tokio::test(start_paused = true)]
async fn the_store_inside_is_told_the_earlier_of_two_deadlines() {
    let probe = Probe::new();
    let store = probe.clone().with_timeout(config()).unwrap();
    let (ann, fair) = (user(1_u64), event(1_u64));
    let (name, label) = ("shard".parse().unwrap(), "eu1".parse().unwrap());
    for (own, reads, writes) in [
        (None, READS, WRITES),
        (Some(READS / 2), READS / 2, READS / 2),
        (Some(READS * 2), READS, READS * 2),
    ] {
        let (mut write, mut read) = (WriteOptions::default(), ReadOptions::strong());
        write.deadline = own.map(Deadline::after);
        read.deadline = write.deadline;
        let page = PageRequest::new(read.clone());
        store.rsvp_with(&ann, &fair, write.clone()).await.unwrap();
        store.remove_event_step(&fair, PageLimit::MIN, &write).await.unwrap();
        store.remove_user_step(&ann, PageLimit::MIN, &write).await.unwrap();
        store.replace_label(&name, None, &label, &write).await.unwrap();
        let writes = Some(Deadline::after(writes));
        assert_eq!(probe.deadlines(), [writes; 4], "{own:?}");
        store.has_rsvped_with(&ann, &fair, read.clone()).await.unwrap();
        store.rsvp_count_with(&fair, read.clone()).await.unwrap();
        store.attendees_page(&fair, &page).await.unwrap();
        store.events_of_page(&ann, &page).await.unwrap();
        store.scan_page(&page).await.unwrap();
        store.label(&name, &read).await.unwrap();
        let reads = Some(Deadline::after(reads));
        assert_eq!(probe.deadlines(), [reads; 6], "{own:?}");
    }
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

#[tokio::test(start_paused = true)]
async fn the_health_of_a_hanging_store_is_told_in_time() {
    let probe = Probe::new();
    let store = probe.clone().with_timeout(config()).unwrap();
    probe.shut();
    let began = Instant::now();
    let health = store.health().await;
    assert_eq!(began.elapsed(), READS);
    assert!(health.parts.iter().all(|part| part.result.is_err()), "{health:?}");
}
