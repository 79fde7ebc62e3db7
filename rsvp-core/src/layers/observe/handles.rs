//! The handles of the metrics, kept between calls.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString, counter, gauge, histogram};
use tokio::time::Instant;

use super::{CALLS, DURATION, ENTRIES, FAILURES, IN_FLIGHT};
use crate::Operation;

/// The lifetime of handles. A recorder may forget an idle series after this time,
/// and the handle of a forgotten series records nothing.
const LIFETIME: Duration = Duration::from_secs(10);

/// The possible results of a call or an entry.
const RESULTS: [&str; 9] = [
    "ok",
    "dropped",
    "invalid_input",
    "overloaded",
    "timed_out",
    "unavailable",
    "closed",
    "corrupt",
    "backend",
];

/// The handles of a store's metrics, with the recorder of their last look-up.
#[derive(Debug)]
pub(super) struct Metrics {
    store: SharedString,
    handles: RwLock<Arc<Handles>>,
}

impl Metrics {
    pub(super) fn new(store: SharedString) -> Self {
        let handles = RwLock::new(Arc::new(Handles::new(store.clone(), Instant::now())));
        Self { store, handles }
    }

    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// Returns the handles for a call that begins now.
    pub(super) fn handles(&self, now: Instant) -> Arc<Handles> {
        let kept = self.handles.read().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.is_current(now) {
            return kept;
        }
        // Another thread may do the same at the same time. Both get equal handles.
        let new = Arc::new(Handles::new(self.store.clone(), now));
        *self.handles.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
        new
    }
}

/// The handles of one recorder.
#[derive(Debug)]
pub(super) struct Handles {
    store: SharedString,
    /// The address of the recorder.
    /// A host may install one after the store was made, and a thread may have one of its own.
    /// A new recorder of a thread may have the address of a dropped one.
    /// It then counts as the old one until the handles are looked up again.
    recorder: usize,
    made: Instant,
    operations: [OnceLock<OperationHandles>; Operation::ALL.len()],
}

impl Handles {
    fn new(store: SharedString, made: Instant) -> Self {
        let operations = [const { OnceLock::new() }; Operation::ALL.len()];
        Self { store, recorder: recorder(), made, operations }
    }

    fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) < LIFETIME && self.recorder == recorder()
    }

    /// Returns the handles of an operation. The first call looks them up.
    pub(super) fn of(&self, operation: Operation) -> Option<&OperationHandles> {
        let handles = self.operations.get(operation as usize)?;
        Some(handles.get_or_init(|| OperationHandles::new(&self.store, operation)))
    }
}

fn recorder() -> usize {
    metrics::with_recorder(|recorder| std::ptr::from_ref(recorder).cast::<()>().addr())
}

/// The handles of one operation.
#[derive(Debug)]
pub(super) struct OperationHandles {
    labels: [(&'static str, SharedString); 2],
    pub(super) entries: Counter,
    pub(super) in_flight: Gauge,
    results: [OnceLock<ResultHandles>; RESULTS.len()],
    failures: [OnceLock<Counter>; RESULTS.len()],
}

/// The handles of the calls of one operation with one result.
#[derive(Debug)]
pub(super) struct ResultHandles {
    pub(super) calls: Counter,
    pub(super) duration: Histogram,
}

impl OperationHandles {
    fn new(store: &SharedString, operation: Operation) -> Self {
        let labels = [("store", store.clone()), ("operation", operation.as_str().into())];
        Self {
            entries: counter!(ENTRIES, &labels),
            in_flight: gauge!(IN_FLIGHT, &labels),
            labels,
            results: [const { OnceLock::new() }; RESULTS.len()],
            failures: [const { OnceLock::new() }; RESULTS.len()],
        }
    }

    /// Returns the handles of the calls with this result.
    pub(super) fn result(&self, result: &'static str) -> Option<&ResultHandles> {
        let made = || {
            let labels = self.labels(result);
            ResultHandles {
                calls: counter!(CALLS, &labels),
                duration: histogram!(DURATION, &labels),
            }
        };
        Some(self.results.get(place(result)?)?.get_or_init(made))
    }

    /// Returns the counter of the entries that failed with this result.
    pub(super) fn failures(&self, result: &'static str) -> Option<&Counter> {
        let made = || counter!(FAILURES, &self.labels(result));
        Some(self.failures.get(place(result)?)?.get_or_init(made))
    }

    fn labels(&self, result: &'static str) -> [(&'static str, SharedString); 3] {
        let [store, operation] = self.labels.clone();
        [store, operation, ("result", result.into())]
    }
}

fn place(result: &str) -> Option<usize> {
    RESULTS.iter().position(|known| *known == result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Error};

    #[test]
    fn every_operation_and_every_kind_of_error_has_handles() {
        let handles = Handles::new("tickets".into(), Instant::now());
        assert!(Operation::ALL.iter().all(|operation| handles.of(*operation).is_some()));
        let operation = Operation::Write;
        for error in [
            Error::invalid_input("limit", "is zero"),
            Error::overloaded(operation),
            Error::timed_out(operation, Duration::ZERO, Effect::Unknown),
            Error::unavailable(operation, Effect::Unknown, None),
            Error::closed(operation),
            Error::corrupt(operation, "a hole"),
            Error::backend(operation, Effect::Unknown, false, Error::closed(operation)),
        ] {
            assert!(place(error.kind()).is_some(), "{error}");
        }
    }
}
