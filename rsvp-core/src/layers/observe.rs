//! What a store does, for those on call.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics::{gauge, histogram};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug_span, field};

use super::intercept::intercept_every_call;
use crate::backend::check_name;
use crate::{
    BatchReceipt, Consistency, Count, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

const CALLS: &str = "rsvp_store_calls_total";
const ENTRIES: &str = "rsvp_store_entries_total";
const DURATION: &str = "rsvp_store_call_duration_seconds";
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
/// | `rsvp_store_call_duration_seconds` | histogram | `store`, `operation` |
/// | `rsvp_store_calls_in_flight` | gauge | `store`, `operation` |
///
/// `store` is the name given here, `operation` that of the [`Operation`], and `result` is `ok`, the
/// [kind](crate::Error::kind) of the error, or `dropped` for a call whose caller went away. No
/// label ever holds an id, so there are a few hundred series for each observed store at most.
///
/// Every call is also a span of the crate `tracing`, at the level debug and with the target
/// `rsvp`, with `store`, `operation`, `entries` and `result`; no ids either.
///
/// Around a coalescer or a cache it shows what callers see, inside what the backend is asked:
/// entries by calls are the size of batches, and calls inside by calls outside are what a cache
/// lets through.
///
/// Everything of the contract is kept.
pub struct ObservedStore<S> {
    store: S,
    name: SharedString,
}

impl<S> ObservedStore<S> {
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
        describe_histogram!(DURATION, Unit::Seconds, "How long those calls took");
        describe_gauge!(IN_FLIGHT, Unit::Count, "Calls of the RSVP store that are under way");
        Ok(Self { store, name: SharedString::from_shared(Arc::from(name)) })
    }

    /// The store inside.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    async fn intercept<T, F: Future<Output = Result<T>>>(
        &self,
        operation: Operation,
        entries: usize,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut observed = Observed::begin(&self.name, operation, entries);
        let answer = call().instrument(observed.span.clone()).await;
        observed.result = match &answer {
            Ok(_) => "ok",
            Err(error) => error.kind(),
        };
        answer
    }
}

impl<S: fmt::Debug> fmt::Debug for ObservedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ObservedStore");
        shown.field("store", &self.store).field("name", &self.name.as_ref()).finish()
    }
}

/// One call. Told about when it is dropped, however it ended.
struct Observed<'a> {
    name: &'a SharedString,
    operation: Operation,
    began: Instant,
    result: &'static str,
    span: Span,
}

impl<'a> Observed<'a> {
    fn begin(name: &'a SharedString, operation: Operation, entries: usize) -> Self {
        let span = debug_span!(
            target: "rsvp",
            "rsvp",
            store = name.as_ref(),
            operation = operation.as_str(),
            entries,
            result = field::Empty,
        );
        // The limit of a page says little about its items.
        if matches!(operation, Operation::Write | Operation::HasRsvped | Operation::RsvpCounts) {
            counter!(ENTRIES, &labels(name, operation)).increment(entries as u64);
        }
        gauge!(IN_FLIGHT, &labels(name, operation)).increment(1.0);
        Self { name, operation, began: Instant::now(), result: "dropped", span }
    }
}

fn labels(name: &SharedString, operation: Operation) -> [(&'static str, SharedString); 2] {
    [("store", name.clone()), ("operation", operation.as_str().into())]
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        self.span.record("result", self.result);
        let [store, operation] = labels(self.name, self.operation);
        histogram!(DURATION, &[store.clone(), operation.clone()])
            .record(self.began.elapsed().as_secs_f64());
        gauge!(IN_FLIGHT, &[store.clone(), operation.clone()]).decrement(1.0);
        counter!(CALLS, &[store, operation, ("result", self.result.into())]).increment(1);
    }
}

intercept_every_call!(ObservedStore);
