//! Maps the failures of SQLite by their codes.

use std::io;
use std::sync::Arc;

use rsvp_core::{Effect, Error, Operation};
use rusqlite::ErrorCode;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of SQLite.
    Engine(rusqlite::Error),
    /// An error of SQLite for several calls at once.
    Shared(Arc<rusqlite::Error>),
    /// An error of the operating system, about a file unknown to SQLite.
    System(io::Error),
    /// The file holds an illegal value.
    Corrupt(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl Failure {
    /// Maps the error of an illegal stored value.
    pub(crate) fn stored(error: Error) -> Self {
        match error {
            Error::Corrupt { what, .. } => Self::Corrupt(what),
            error => Self::Corrupt(error.to_string()),
        }
    }

    /// Maps a failure to the error of a call.
    pub(crate) fn into_error(self, operation: Operation, effect: Effect) -> Error {
        match self {
            Self::Engine(error) => engine_error(operation, effect, &Arc::new(error)),
            Self::Shared(error) => engine_error(operation, effect, &error),
            Self::System(error) => Error::unavailable(operation, effect, Some(error.into())),
            Self::Corrupt(what) => Error::corrupt(operation, what),
        }
    }
}

/// Maps an error of SQLite to the error of a call. Calls of one transaction share it.
pub(crate) fn engine_error(
    operation: Operation,
    effect: Effect,
    error: &Arc<rusqlite::Error>,
) -> Error {
    let shared = || Arc::clone(error);
    let Some(code) = error.sqlite_error_code() else {
        return match **error {
            // The value has another type than its column in the schema.
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
        // The causes are a lock of another process, the disk, its permissions or the memory.
        // The same call succeeds when the cause is gone.
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
        // A later version of SQLite may have more codes.
        _ => Error::backend(operation, effect, false, shared()),
    }
}

/// Returns whether an error concerns the rows of one statement only, such as an error of a trigger.
///
/// Other statements of the same transaction can then succeed.
/// After a damaged page they cannot. Other transactions can.
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

/// Returns whether an error reports a damaged page.
pub(crate) fn concerns_a_page(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Returns whether the pages in the memory of a connection may differ from the disk.
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
