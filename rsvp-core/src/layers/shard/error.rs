//! Which shard an error is from.

use std::sync::Arc;

use crate::Error;

/// The failure of one shard of a [`ShardedStore`](super::ShardedStore): the
/// [`source`](std::error::Error::source) of the error that the caller is given.
#[derive(Clone, Debug, thiserror::Error)]
#[error("shard {name:?} failed")]
#[non_exhaustive]
pub struct ShardError {
    /// The shard's name.
    pub name: Arc<str>,
    /// What it answered.
    #[source]
    pub error: Error,
}

impl Error {
    /// The same error of a store that has parts: of the same kind and effect, and naming the part.
    ///
    /// Its source becomes a [`ShardError`]; kinds without a source name the shard in their text.
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
