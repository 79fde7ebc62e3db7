//! The failures of the engine, mapped by code.

use std::io;
use std::sync::Arc;

use rsvp_core::{Effect, Error, Operation};
use rusqlite::ErrorCode;

/// Why a piece of work has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine says so.
    Engine(rusqlite::Error),
    /// The engine says so to several calls at once.
    Shared(Arc<rusqlite::Error>),
    /// The system says so, about a file that the engine does not know.
    System(io::Error),
    /// Something is stored that never should be.
    Corrupt(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl Failure {
    /// Of something that is stored and should not be.
    pub(crate) fn stored(error: Error) -> Self {
        match error {
            Error::Corrupt { what, .. } => Self::Corrupt(what),
            error => Self::Corrupt(error.to_string()),
        }
    }

    /// The error of a call that has failed for this reason.
    pub(crate) fn into_error(self, operation: Operation, effect: Effect) -> Error {
        match self {
            Self::Engine(error) => engine_error(operation, effect, &Arc::new(error)),
            Self::Shared(error) => engine_error(operation, effect, &error),
            Self::System(error) => Error::unavailable(operation, effect, Some(error.into())),
            Self::Corrupt(what) => Error::corrupt(operation, what),
        }
    }
}

/// The error of a call that the engine has failed. Calls of one transaction share its reason.
pub(crate) fn engine_error(
    operation: Operation,
    effect: Effect,
    error: &Arc<rusqlite::Error>,
) -> Error {
    let shared = || Arc::clone(error);
    let Some(code) = error.sqlite_error_code() else {
        return match **error {
            // Values of another type than the schema says.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Error::corrupt(operation, error.to_string()),
            _ => Error::backend(operation, effect, false, shared()),
        };
    };
    match code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            Error::corrupt(operation, error.to_string())
        }
        // Another process that holds the lock, the disk, its rights, the memory: the same call succeeds
        // when the cause is gone.
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::SystemIoFailure
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted => {
            Error::unavailable(operation, effect, Some(shared().into()))
        }
        ErrorCode::InternalMalfunction
        | ErrorCode::NotFound
        | ErrorCode::SchemaChanged
        | ErrorCode::TooBig
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::ApiMisuse
        | ErrorCode::AuthorizationForStatementDenied
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::Unknown => Error::backend(operation, effect, false, shared()),
        // The list of codes may grow.
        _ => Error::backend(operation, effect, false, shared()),
    }
}

/// Whether an error is about what a statement touches, such as a trigger, so that other statements of the
/// same transaction can succeed. After a damaged page none can, but in other transactions.
pub(crate) fn concerns_an_entry(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::Unknown
        ),
        None => true,
    }
}

/// Whether an error is about a damaged page.
pub(crate) fn concerns_a_page(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Whether a connection may hold pages that are not what the disk holds.
pub(crate) fn needs_new_connection(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error_of(code: i32) -> Error {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Failure::from(error).into_error(Operation::Write, Effect::NotApplied)
    }

    #[test]
    fn every_class_of_failure_has_its_kind() {
        for (code, kind, retryable) in [
            (ffi::SQLITE_BUSY_SNAPSHOT, "unavailable", true),
            (ffi::SQLITE_FULL, "unavailable", true),
            (ffi::SQLITE_READONLY_DBMOVED, "unavailable", true),
            (ffi::SQLITE_IOERR_FSYNC, "unavailable", true),
            (ffi::SQLITE_CANTOPEN, "unavailable", true),
            (ffi::SQLITE_CORRUPT_INDEX, "corrupt", false),
            (ffi::SQLITE_NOTADB, "corrupt", false),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, "backend", false),
            (ffi::SQLITE_ERROR, "backend", false),
        ] {
            let error = error_of(code);
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{code}: {error}");
        }
    }
}
