//! The cause of an error.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

#[cfg(doc)]
use crate::Error;

/// The cause of an [`Error`]. Callers of one failed batch share it.
///
/// Any error type converts into it with `From`.
/// [`Error::source`](StdError::source) returns the original error,
/// for a downcast to the driver's type.
///
/// ```
/// use std::error::Error as _;
/// use std::io;
/// use rsvp_core::{Effect, Error, Operation, Source};
///
/// let cause = Source::from(io::Error::from(io::ErrorKind::ConnectionRefused));
/// let error = Error::unavailable(Operation::Ready, Effect::NotApplied, Some(cause));
/// assert!(error.source().is_some_and(|source| source.is::<io::Error>()));
/// ```
#[derive(Clone)]
pub struct Source(Arc<dyn StdError + Send + Sync + 'static>);

impl<E: StdError + Send + Sync + 'static> From<E> for Source {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

// Not an error itself: `source()` must lead to the driver's, past the pointer.
impl Deref for Source {
    type Target = dyn StdError + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
