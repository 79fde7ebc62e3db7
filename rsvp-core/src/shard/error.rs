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

/// The error of a call that the shard `name` has failed, with the same effect.
pub(super) fn of_shard(name: &Arc<str>, error: Error) -> Error {
    let effect = error.effect();
    match &error {
        Error::InvalidInput { .. } => error,
        Error::Corrupt { operation, what } => {
            Error::corrupt(*operation, format!("in shard {name:?}, {what}"))
        }
        Error::Overloaded { operation }
        | Error::TimedOut { operation, .. }
        | Error::Unavailable { operation, .. } => {
            let operation = *operation;
            let source = ShardError { name: name.clone(), error };
            Error::unavailable(operation, effect, Some(source.into()))
        }
        Error::Backend { operation, retryable, .. } => {
            let (operation, retryable) = (*operation, *retryable);
            let source = ShardError { name: name.clone(), error };
            Error::backend(operation, effect, retryable, source)
        }
    }
}
