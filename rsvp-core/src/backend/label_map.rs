//! The labels of a store that keeps them in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Label, LabelName};

/// Labels in memory, compared and replaced one call after another.
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
    /// The label of this name.
    #[must_use]
    pub fn get(&self, name: &LabelName) -> Option<Label> {
        self.lock().get(name).cloned()
    }

    /// Sets a label if it holds `expected`, and returns the label as it was before.
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
        // Nothing that holds this lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
