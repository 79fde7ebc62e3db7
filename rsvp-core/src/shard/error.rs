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

/// The error of a call that the shard `name` has failed, of the same kind and effect.
pub(super) fn of_shard(name: &Arc<str>, error: Error) -> Error {
    let source = ShardError { name: name.clone(), error: error.clone() }.into();
    match error {
        Error::InvalidInput { .. } => error,
        Error::Corrupt { operation, what } => {
            Error::corrupt(operation, format!("in shard {name:?}, {what}"))
        }
        Error::Overloaded { operation, .. } => Error::Overloaded { operation, source: Some(source) },
        Error::TimedOut { operation, after, effect, .. } => {
            Error::TimedOut { operation, after, effect, source: Some(source) }
        }
        Error::Unavailable { operation, effect, .. } => {
            Error::Unavailable { operation, effect, source: Some(source) }
        }
        Error::Backend { operation, effect, retryable, .. } => {
            Error::Backend { operation, effect, retryable, source }
        }
    }
}
