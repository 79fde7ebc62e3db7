//! Metrics and traces of a store's calls.

mod handles;

use std::fmt;
use std::sync::Arc;

use metrics::{SharedString, Unit, describe_counter, describe_gauge, describe_histogram};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug_span, field};

use self::handles::{Handles, Metrics};
use super::{Call, Layer, Layered};
use crate::backend::check_name;
use crate::{Error, Operation, Result, RsvpStore};

const CALLS: &str = "rsvp_store_calls_total";
const ENTRIES: &str = "rsvp_store_entries_total";
const DURATION: &str = "rsvp_store_call_duration_seconds";
const FAILURES: &str = "rsvp_store_entry_failures_total";
const IN_FLIGHT: &str = "rsvp_store_calls_in_flight";

/// A store with metrics and traces of its calls.
///
/// Metrics go to the recorder of the crate `metrics` that the host has installed,
/// for example one for Prometheus:
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `rsvp_store_calls_total` | counter of calls | `store`, `operation`, `result` |
/// | `rsvp_store_entries_total` | counter of the writes, pairs and events of batches | `store`, `operation` |
/// | `rsvp_store_entry_failures_total` | counter of the failed entries of answered batches | `store`, `operation`, `result` |
/// | `rsvp_store_call_duration_seconds` | histogram of the duration of calls | `store`, `operation`, `result` |
/// | `rsvp_store_calls_in_flight` | gauge of the calls in flight | `store`, `operation` |
///
/// | label | values |
/// |---|---|
/// | `store` | the name of this observer |
/// | `operation` | the name of the [`Operation`] |
/// | `result` | `ok`, the [kind](crate::Error::kind) of the error, or `dropped` for a call whose caller went away |
///
/// If every entry of a batch failed, `result` is the kind of the first entry's error.
/// No label ever holds an id, so an observed store has a few hundred series at most.
///
/// The layer keeps the handles of metrics.
/// It looks them up again every 10 s, and after a host has installed another recorder.
/// So a recorder may forget series after 10 s without a call.
///
/// Every call is also a span of the crate `tracing`, at the level debug and with the target `rsvp`.
/// It has the fields `store`, `operation`, `entries` and `result`, and no ids.
///
/// An observer around a coalescer or a cache measures the calls of callers.
/// An observer inside measures the load of the backend.
/// Entries divided by calls are the size of batches.
/// Inner calls divided by outer calls are the miss rate of a cache.
///
/// The layer preserves every rule of the contract.
pub type ObservedStore<S> = Layered<Observe, S>;

/// The layer of an [`ObservedStore`].
///
/// ```
/// use rsvp_core::layers::{LayerExt, Layered, Observe};
/// use rsvp_memory::MemoryStore;
///
/// let store: Layered<Observe, MemoryStore> = MemoryStore::new().with_observer("tickets")?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
pub struct Observe {
    metrics: Metrics,
}

impl fmt::Debug for Observe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observe").field("name", &self.metrics.store()).finish()
    }
}

impl<S> Layered<Observe, S> {
    /// Observes the calls of `store` under a name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the field `observe` unless the name
    /// is 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
    pub fn new(store: S, name: &str) -> Result<Self> {
        check_name("observe", name)?;
        describe_counter!(CALLS, Unit::Count, "Calls of the RSVP store");
        describe_counter!(ENTRIES, Unit::Count, "Entries of batches: writes, pairs and events");
        describe_counter!(FAILURES, Unit::Count, "Failed entries of answered batches");
        describe_histogram!(DURATION, Unit::Seconds, "Duration of the calls of the RSVP store");
        describe_gauge!(IN_FLIGHT, Unit::Count, "Calls of the RSVP store in flight");
        Ok(Self::around(
            store,
            Observe { metrics: Metrics::new(SharedString::from_shared(Arc::from(name))) },
        ))
    }
}

impl Layer for Observe {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let mut observed = Observed::begin(&self.metrics, call.operation(), call.entries());
        let answer = match observed.span.is_disabled() {
            true => call.run(store).await,
            false => call.run(store).instrument(observed.span.clone()).await,
        };
        observed.result = match &answer {
            Ok(answer) => observed.count_failures(call.entries(), &C::failures(answer)),
            Err(error) => error.kind(),
        };
        answer
    }
}

/// One call. Dropping it records it, whether the call returned or its caller went away.
struct Observed {
    handles: Arc<Handles>,
    operation: Operation,
    began: Instant,
    result: &'static str,
    span: Span,
}

impl Observed {
    fn begin(metrics: &Metrics, operation: Operation, entries: usize) -> Self {
        let span = debug_span!(
            target: "rsvp",
            "rsvp",
            store = metrics.store(),
            operation = operation.as_str(),
            entries,
            result = field::Empty,
        );
        let began = Instant::now();
        let handles = metrics.handles(began);
        if let Some(handles) = handles.of(operation) {
            // The entries of other operations are limits of pages,
            // and say little about the number of items.
            if matches!(operation, Operation::Write | Operation::HasRsvped | Operation::RsvpCount) {
                handles.entries.increment(entries as u64);
            }
            handles.in_flight.increment(1.0);
        }
        Self { handles, operation, began, result: "dropped", span }
    }

    /// Counts the failed entries, and returns the result of the call.
    fn count_failures(&self, entries: usize, failures: &[(usize, Error)]) -> &'static str {
        for (_, error) in failures {
            let handles = self.handles.of(self.operation);
            if let Some(failures) = handles.and_then(|handles| handles.failures(error.kind())) {
                failures.increment(1);
            }
        }
        match failures.first() {
            // A single call is a batch of one. It failed if its entry failed.
            Some((_, first)) if failures.len() == entries => first.kind(),
            _ => "ok",
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.span.record("result", self.result);
        let Some(handles) = self.handles.of(self.operation) else { return };
        handles.in_flight.decrement(1.0);
        if let Some(result) = handles.result(self.result) {
            result.duration.record(self.began.elapsed().as_secs_f64());
            result.calls.increment(1);
        }
    }
}
