//! The labels of a store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp_core::{Label, LabelName};

/// A few small facts, compared and replaced one call after another.
#[derive(Debug, Default)]
pub(crate) struct Labels(Mutex<BTreeMap<LabelName, Label>>);

impl Labels {
    pub(crate) fn get(&self, name: &LabelName) -> Option<Label> {
        self.lock().get(name).cloned()
    }

    /// Sets a label if it holds `expected`, and returns what it held before.
    pub(crate) fn replace(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
    ) -> Option<Label> {
        let mut labels = self.lock();
        let before = labels.get(name).cloned();
        if before.as_ref() == expected {
            labels.insert(name.clone(), value.clone());
        }
        before
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LabelName, Label>> {
        // Nothing that holds this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
