//! Errors with the name of a shard.

use std::sync::Arc;

use crate::Error;

/// The failure of one shard of a [`ShardedStore`](super::ShardedStore).
/// It is the [`source`](std::error::Error::source) of the caller's error.
///
/// ```
/// use std::error::Error as _;
/// use rsvp_core::layers::ShardError;
/// use rsvp_core::{Effect, Error, Operation};
///
/// let failed = Error::unavailable(Operation::Write, Effect::NotApplied, None).in_shard("eu1");
/// let shard = failed.source().and_then(|source| source.downcast_ref::<ShardError>());
/// assert_eq!(shard.map(|shard| &*shard.name), Some("eu1"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("shard {name:?} failed")]
#[non_exhaustive]
pub struct ShardError {
    /// The shard's name.
    pub name: Arc<str>,
    /// The error of the shard.
    #[source]
    pub error: Error,
}

impl Error {
    /// Names a part of a store in the error. The kind and the effect stay the same.
    ///
    /// The source becomes a [`ShardError`].
    /// Kinds without a source name the shard in their text.
    #[must_use]
    pub fn in_shard(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let source = ShardError { name: name.clone(), error: self.clone() }.into();
        match self {
            Self::InvalidInput { field, reason } => {
                Self::InvalidInput { field, reason: format!("{reason} (shard {name:?})") }
            }
            Self::Corrupt { operation, what } => {
                Self::Corrupt { operation, what: format!("in shard {name:?}, {what}") }
            }
            Self::Overloaded { operation, .. } => {
                Self::Overloaded { operation, source: Some(source) }
            }
            Self::Closed { operation } => Self::Closed { operation },
            Self::TimedOut { operation, after, effect, .. } => {
                Self::TimedOut { operation, after, effect, source: Some(source) }
            }
            Self::Unavailable { operation, effect, .. } => {
                Self::Unavailable { operation, effect, source: Some(source) }
            }
            Self::Backend { operation, effect, retryable, .. } => {
                Self::Backend { operation, effect, retryable, source }
            }
        }
    }
}
