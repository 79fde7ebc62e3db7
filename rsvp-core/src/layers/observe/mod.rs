//! What a store does, for those on call.

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

/// A store whose calls are counted, timed and traced.
///
/// Metrics go to the recorder of the crate `metrics` that the host has installed, for example one
/// for Prometheus:
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `rsvp_store_calls_total` | counter | `store`, `operation`, `result` |
/// | `rsvp_store_entries_total` | counter of the writes, pairs and events of batches | `store`, `operation` |
/// | `rsvp_store_entry_failures_total` | counter of the entries of answered batches that failed | `store`, `operation`, `result` |
/// | `rsvp_store_call_duration_seconds` | histogram | `store`, `operation`, `result` |
/// | `rsvp_store_calls_in_flight` | gauge | `store`, `operation` |
///
/// `store` is the name given here, `operation` that of the [`Operation`], and `result` is `ok`, the
/// [kind](crate::Error::kind) of the error, or `dropped` for a call whose caller went away. A batch
/// of which every entry failed has the kind of the first entry's error. No label ever holds an id, so there are a few hundred series for each observed store at most.
///
/// Handles of metrics are kept between calls, and looked up again every 10 s and whenever another
/// recorder is installed. So a recorder may forget series that were idle for longer than that.
///
/// Every call is also a span of the crate `tracing`, at the level debug and with the target
/// `rsvp`, with `store`, `operation`, `entries` and `result`; no ids either.
///
/// Around a coalescer or a cache it shows what callers see, inside what the backend is asked:
/// entries by calls are the size of batches, and calls inside by calls outside are what a cache
/// lets through.
///
/// Everything of the contract is kept.
pub type ObservedStore<S> = Layered<Observe, S>;

/// The layer of an [`ObservedStore`].
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
        describe_counter!(ENTRIES, Unit::Count, "Writes, pairs and events of those calls");
        describe_counter!(FAILURES, Unit::Count, "Entries of answered batches that failed");
        describe_histogram!(DURATION, Unit::Seconds, "Duration of those calls");
        describe_gauge!(IN_FLIGHT, Unit::Count, "Calls of the RSVP store that are under way");
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

/// One call. It is recorded when it is dropped, however it ended.
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
            // The limit of a page says little about its items.
            if matches!(operation, Operation::Write | Operation::HasRsvped | Operation::RsvpCount) {
                handles.entries.increment(entries as u64);
            }
            handles.in_flight.increment(1.0);
        }
        Self { handles, operation, began, result: "dropped", span }
    }

    /// Counts the entries that failed, and returns the result of the call.
    fn count_failures(&self, entries: usize, failures: &[(usize, Error)]) -> &'static str {
        for (_, error) in failures {
            let handles = self.handles.of(self.operation);
            if let Some(failures) = handles.and_then(|handles| handles.failures(error.kind())) {
                failures.increment(1);
            }
        }
        match failures.first() {
            // A single call is a batch of one, and has failed if its entry has.
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
