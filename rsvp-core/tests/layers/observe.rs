//! What is counted, timed and traced, and what never shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use rsvp_core::layers::LayerExt;
use rsvp_core::{
    Effect, Error, Operation, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt,
    Write, WriteOptions,
};
use rsvp_testkit::hostile_ids;
use tokio::time::advance;

use crate::probe::{Probe, Reaction};
use crate::{event, user};

/// Runs something and returns what it has recorded: the value for each name with its labels, of
/// histograms the number of values.
fn recorded(run: impl FnOnce()) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, run);
    let metrics = recorder.snapshotter().snapshot().into_vec();
    let value = |value: DebugValue| match value {
        DebugValue::Counter(count) => count as f64,
        DebugValue::Gauge(value) => value.into_inner(),
        DebugValue::Histogram(values) => values.len() as f64,
    };
    metrics.into_iter().map(|(key, _, _, it)| (key.key().to_string(), value(it))).collect()
}

/// Every call of a store, each answered at once.
fn call_everything(store: &dyn RsvpStore) {
    let (ann, fair) = (user(1_u64), event(1_u64));
    let pairs = [Rsvp::new(ann.clone(), fair.clone()), Rsvp::new(user(2_u64), fair.clone())];
    let writes = pairs.clone().map(|pair| Write::rsvp(pair.user, pair.event));
    let (strong, page) = (ReadOptions::strong(), PageRequest::default());
    let write = WriteOptions::default();
    store.write_batch(&writes, &write).now_or_never().unwrap().unwrap();
    store.has_rsvped_batch(&pairs, &strong).now_or_never().unwrap().unwrap();
    store.rsvp_count_batch(std::slice::from_ref(&fair), &strong).now_or_never().unwrap().unwrap();
    store.attendees_page(&fair, &page).now_or_never().unwrap().unwrap();
    store.events_of_page(&ann, &page).now_or_never().unwrap().unwrap();
    store.scan_page(&page).now_or_never().unwrap().unwrap();
    store.remove_event_step(&fair, PageLimit::MIN, &write).now_or_never().unwrap().unwrap();
    store.remove_user_step(&ann, PageLimit::MIN, &write).now_or_never().unwrap().unwrap();
    let (name, label) = ("shard".parse().unwrap(), "eu1".parse().unwrap());
    store.label(&name, &strong).now_or_never().unwrap().unwrap();
    store.replace_label(&name, None, &label, &write).now_or_never().unwrap().unwrap();
    store.ready().now_or_never().unwrap().unwrap();
}

#[test]
fn every_call_is_counted_once() {
    let metrics = recorded(|| call_everything(&Probe::new().with_observer("tickets").unwrap()));
    for operation in [
        "write",
        "has_rsvped",
        "rsvp_count",
        "attendees",
        "events_of",
        "scan",
        "remove_event",
        "remove_user",
        "label",
        "replace_label",
        "ready",
    ] {
        let of = |name: &str, more: &str| {
            let labels = format!("[store = tickets, operation = {operation}{more}]");
            let found = metrics.iter().find(|(key, _)| {
                key.contains(&format!("({name})")) && key.contains(&labels)
                    || key.starts_with(&format!("Key({name}, {labels}"))
            });
            found
                .map(|(_, value)| *value)
                .unwrap_or_else(|| panic!("{name} {labels} in {metrics:#?}"))
        };
        assert_eq!(of("rsvp_store_calls_total", ", result = ok"), 1.0);
        assert_eq!(of("rsvp_store_call_duration_seconds", ", result = ok"), 1.0);
        assert_eq!(of("rsvp_store_calls_in_flight", ""), 0.0);
    }
    let entries = metrics.iter().filter(|(key, _)| key.contains("entries_total"));
    assert_eq!(entries.map(|(_, value)| value).sum::<f64>(), 5.0, "2 writes, 2 pairs, 1 event");
}

#[test]
fn failures_are_counted_by_kind_and_dropped_calls_as_such() {
    let metrics = recorded(|| {
        let probe = Probe::new();
        let store = probe.clone().with_observer("tickets").unwrap();
        probe.react([Reaction::Fail(Error::overloaded(Operation::HasRsvped))]);
        let question =
            || store.has_rsvped(&"u".parse().unwrap(), &"e".parse().unwrap()).now_or_never();
        assert!(question().unwrap().is_err());
        probe.shut();
        assert!(question().is_none(), "dropped before it was answered");
    });
    let calls: Vec<_> = metrics.keys().filter(|key| key.contains("calls_total")).collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].contains("dropped") && calls[1].contains("overloaded"), "{calls:?}");
    let in_flight = metrics.iter().find(|(key, _)| key.contains("in_flight")).unwrap();
    assert_eq!(*in_flight.1, 0.0);
}

#[test]
fn of_an_answered_batch_the_failed_entries_are_counted_by_kind() {
    let metrics = recorded(|| {
        let probe = Probe::new();
        let store = probe.clone().with_observer("tickets").unwrap();
        let operation = Operation::Write;
        probe.react([Reaction::FailEntries(vec![
            (0, Error::overloaded(operation)),
            (2, Error::corrupt(operation, "a hole")),
            (3, Error::overloaded(operation)),
        ])]);
        let writes: Vec<_> = (0..5_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
        let write = WriteOptions::default();
        store.write_batch(&writes, &write).now_or_never().unwrap().unwrap();
    });
    let of = |name: &str, result: &str| {
        let found = metrics.iter().find(|(key, _)| key.contains(name) && key.contains(result));
        found.map(|(_, value)| *value)
    };
    let failures = "rsvp_store_entry_failures_total";
    assert_eq!(of(failures, "result = overloaded"), Some(2.0), "{metrics:#?}");
    assert_eq!(of(failures, "result = corrupt"), Some(1.0), "{metrics:#?}");
    assert_eq!(of("rsvp_store_calls_total", "result = ok"), Some(1.0), "it was answered");
}

/// Counts how often a handle is looked up.
#[derive(Default)]
struct Lookups(AtomicUsize);

impl Lookups {
    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Recorder for Lookups {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.fetch_add(1, Relaxed);
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.fetch_add(1, Relaxed);
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.fetch_add(1, Relaxed);
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn handles_are_kept_and_looked_up_again_before_a_recorder_forgets_an_idle_series() {
    let lookups = Lookups::default();
    let _recorder = metrics::set_default_local_recorder(&lookups);
    let store = Probe::new().with_observer("tickets").unwrap();
    let mut looked_up = Vec::new();
    for _ in 0..3 {
        store.has_rsvped(&user(1_u64), &event(1_u64)).await.unwrap();
        looked_up.push(lookups.count());
        advance(Duration::from_secs(4)).await;
    }
    assert!(looked_up[0] > 0 && looked_up[0] == looked_up[2], "{looked_up:?}");
    store.has_rsvped(&user(1_u64), &event(1_u64)).await.unwrap();
    assert_eq!(lookups.count(), 2 * looked_up[0], "after twelve seconds");
}

#[test]
fn a_recorder_that_is_installed_after_the_first_call_records_the_next() {
    let store = Probe::new().with_observer("tickets").unwrap();
    let ask = || drop(store.has_rsvped(&user(1_u64), &event(1_u64)).now_or_never().unwrap());
    ask();
    let recorders = [Lookups::default(), Lookups::default()];
    for recorder in &recorders {
        metrics::with_local_recorder(recorder, ask);
        assert!(recorder.count() > 0);
    }
}

#[test]
fn the_latency_of_refusals_is_apart_from_that_of_answers() {
    let metrics = recorded(|| {
        let probe = Probe::new();
        let store = probe.clone().with_observer("tickets").unwrap();
        probe.react([Reaction::Fail(Error::overloaded(Operation::HasRsvped))]);
        let ask = || store.has_rsvped(&user(1_u64), &event(1_u64)).now_or_never().unwrap();
        assert!(ask().is_err() && ask().is_ok());
    });
    for result in ["ok", "overloaded"] {
        let of = |key: &str| {
            key.contains("call_duration") && key.contains(&format!("result = {result}"))
        };
        let found = metrics.iter().find(|(key, _)| of(key));
        assert_eq!(found.map(|(_, values)| *values), Some(1.0), "{result}: {metrics:#?}");
    }
}

#[test]
fn no_id_ever_is_a_label() {
    let metrics = recorded(|| {
        let store = Probe::new().with_observer("tickets").unwrap();
        for id in hostile_ids().into_iter().filter(|id| id.len() > 4) {
            let (user, event) = (id.parse().unwrap(), id.parse().unwrap());
            store.rsvp(&user, &event).now_or_never().unwrap().unwrap();
            store.has_rsvped(&user, &event).now_or_never().unwrap().unwrap();
        }
    });
    let shown = format!("{metrics:?}");
    for id in hostile_ids().into_iter().filter(|id| id.len() > 4) {
        assert!(!shown.contains(&id), "{id:?} in {shown}");
    }
    assert!(metrics.len() < 10, "{metrics:?}");
}

#[test]
fn a_name_that_is_no_label_is_refused() {
    for name in ["", "a b", "é", "\"", &"x".repeat(65)] {
        let error = Probe::new().with_observer(name).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "observe", .. }), "{error}");
    }
}

#[test]
fn a_batch_fails_if_every_entry_does() {
    let down = |place| (place, Error::unavailable(Operation::Write, Effect::NotApplied, None));
    for (entries, failed, result) in [(1, 1, "unavailable"), (2, 2, "unavailable"), (2, 1, "ok")] {
        let metrics = recorded(|| {
            let probe = Probe::new();
            let store = probe.clone().with_observer("tickets").unwrap();
            probe.react([Reaction::FailEntries((0..failed).map(down).collect())]);
            let writes = (0..entries).map(|n: u64| Write::rsvp(user(n), event(1_u64)));
            let writes: Vec<_> = writes.collect();
            store.write_batch(&writes, &WriteOptions::default()).now_or_never().unwrap().unwrap();
        });
        let calls = metrics.keys().find(|key| key.contains("calls_total")).unwrap();
        assert!(calls.contains(&format!("result = {result}")), "{calls}");
        let failures = metrics.iter().find(|(key, _)| key.contains("entry_failures")).unwrap();
        assert!(failures.0.contains("result = unavailable"), "{failures:?}");
        assert_eq!(*failures.1, failed as f64);
    }
}
