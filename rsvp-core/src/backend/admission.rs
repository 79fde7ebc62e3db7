//! The checks at the beginning of every call.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Deadline, Error, Operation, Result};

/// The admission of calls to a store.
/// It accepts calls until the store is closed, unless their deadline has passed.
///
/// It is for stores without waiting calls.
/// A store that has calls in flight when it is closed has to wait for them too.
///
/// ```
/// use rsvp_core::Operation;
/// use rsvp_core::backend::Admission;
///
/// let admission = Admission::default();
/// admission.check(Operation::Write, None)?;
/// admission.close();
/// assert!(admission.check(Operation::Write, None).is_err());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Admission {
    closed: AtomicBool,
}

impl Admission {
    /// Refuses a call to a closed store, and a call whose deadline has passed.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::TimedOut`], without effect.
    pub fn check(&self, operation: Operation, deadline: Option<Deadline>) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed(operation));
        }
        match deadline {
            Some(deadline) if deadline.has_passed() => Err(Error::too_late(operation)),
            _ => Ok(()),
        }
    }

    /// Refuses every call from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
