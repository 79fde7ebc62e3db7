//! The labels of an in-memory store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Label, LabelName};

/// Labels in memory, with an atomic compare-and-replace.
///
/// ```
/// use rsvp_core::backend::LabelMap;
///
/// let labels = LabelMap::default();
/// let (name, eu1, eu2) = ("shard".parse()?, "eu1".parse()?, "eu2".parse()?);
/// assert_eq!(labels.replace(&name, None, &eu1), None);
/// assert_eq!(labels.replace(&name, None, &eu2), Some(eu1.clone()), "not replaced");
/// assert_eq!(labels.get(&name), Some(eu1));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct LabelMap(Mutex<BTreeMap<LabelName, Label>>);

impl LabelMap {
    /// Returns the label of this name.
    #[must_use]
    pub fn get(&self, name: &LabelName) -> Option<Label> {
        self.lock().get(name).cloned()
    }

    /// Sets a label if its value is `expected`, and returns the value from before the call.
    pub fn replace(
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
        // A panic cannot happen in the middle of a change,
        // so a poisoned lock still holds whole labels.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
