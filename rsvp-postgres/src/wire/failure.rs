//! The errors of Postgres and of the driver, mapped to those of the library by code.

use std::time::Duration;

use deadpool::managed::{PoolError, TimeoutType};
use rsvp_core::backend::HostFailure;
use rsvp_core::{Effect, Error, Operation};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::config::PasswordError;

/// Why a work gave no answer.
#[derive(Debug)]
pub(crate) enum WorkError {
    /// The driver or the server reports an error.
    Driver(sqlx::Error),
    /// A statement reached the server after the latest time at which it may begin, and did nothing.
    TooLate,
}

impl From<sqlx::Error> for WorkError {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

/// The meaning of a statement's failure for the connection and the call.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The server, or this connection to it, no longer serves its purpose: neither this
    /// connection nor the idle ones to the same server should be used again.
    pub(crate) evicts: bool,
    /// Another connection may serve the call at once: this one is of no use any more, and the
    /// statement was certainly not executed, or only reads.
    pub(crate) elsewhere: bool,
    /// The server takes no writes: another host may be the primary.
    pub(crate) read_only: bool,
}

impl Failure {
    /// One that says nothing about the server.
    pub(crate) fn of_call(error: Error) -> Self {
        Self { error, evicts: false, elsewhere: false, read_only: false }
    }
}

enum Kind {
    /// Certainly rolled back, and can succeed later.
    Transient,
    /// Certainly rolled back, and will fail again.
    Permanent,
    /// Refused for what is in it, certainly rolled back. Without the culprit it can succeed.
    Content,
    /// The server gave up after its statement timeout or was asked to, and rolled back.
    TimedOut,
    /// The server waited for a lock as long as the statement allows, and rolled back.
    Locked,
    /// The server does not accept this now, before any effect.
    Refused,
    /// The connection was lost at an unknown moment.
    Lost,
    /// The server found its files damaged.
    Corrupt,
}

/// The meaning of a SQLSTATE (Postgres manual, appendix A).
fn kind_of(code: &str) -> Kind {
    match code {
        "55P03" => Kind::Locked,
        "57014" => Kind::TimedOut,
        // An object that is in use, as by a change of the tables. A prepared statement that the
        // session lacks, or has already. A transaction that had failed before.
        "55006" | "26000" | "42P05" | "25P02" => Kind::Transient,
        // Read-only: a demoted primary. Starting up or shutting down. Too many connections.
        "25006" | "57P03" | "53300" => Kind::Refused,
        // Statement completion unknown; the connection or the database went away, or was idle for
        // too long.
        "40003" | "57P01" | "57P02" | "57P04" | "57P05" | "25P03" | "25P04" => Kind::Lost,
        "XX001" | "XX002" => Kind::Corrupt,
        code => match code.get(..2) {
            Some("08") => Kind::Lost,
            // Serialization failure, deadlock, and what else rolls a transaction back. Out of disk,
            // memory or another resource. An error of the operating system. A snapshot too old.
            Some("40" | "53" | "58" | "72") => Kind::Transient,
            // Data, such as a character that the database's encoding lacks; a constraint; a view's
            // check; a limit, such as the size of an index entry; an exception of a trigger.
            Some("22" | "23" | "44" | "54" | "P0") => Kind::Content,
            // An error aborts the statement, so it has had no effect.
            _ => Kind::Permanent,
        },
    }
}

/// The SQLSTATE with which the server has refused a statement for what is in it, so that a part of
/// it may succeed.
pub(crate) fn content_code(error: &Error) -> Option<String> {
    let Error::Backend { source, .. } = error else { return None };
    let code = match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => database.code(),
        _ => None,
    };
    code.filter(|code| matches!(kind_of(code), Kind::Content)).map(|code| code.into_owned())
}

/// A server that panics or ends the connection may do so while it commits, whatever the code is.
fn ends_the_connection(error: &dyn DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the server itself has ended the session at a moment when it was not committing: the first
/// thing that a statement hears of it then is this error. A pooler that makes up such an error does
/// not name the routine of the server's source that does so.
fn ended_the_session(error: &dyn DatabaseError) -> bool {
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
    ends_the_connection(error) && routine == Some("ProcessInterrupts")
}

/// Whether the server no longer has a statement as it was prepared: it does not exist in this session,
/// or its tables have changed since. It was not executed.
pub(crate) fn is_outdated(error: &WorkError) -> bool {
    let WorkError::Driver(sqlx::Error::Database(error)) = error else { return false };
    matches!(error.code().as_deref(), Some("0A000" | "26000" | "42P05"))
        && !ends_the_connection(&**error)
}

/// Whether a call has failed because it waited for a lock that another session holds.
pub(crate) fn waited_for_lock(error: &Error) -> bool {
    let Error::TimedOut { source: Some(source), .. } = error else { return false };
    let code = match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => database.code(),
        _ => None,
    };
    code.as_deref() == Some("55P03") || source.is::<Locked>()
}

/// Another call waits for a lock of the same event.
#[derive(Debug, thiserror::Error)]
#[error("another session of the server holds a lock on the event")]
struct Locked;

/// The failure of a call that was not sent, because the event is locked and the turn of another
/// call.
pub(crate) fn locked(operation: Operation, waited: Duration) -> Error {
    Error::gave_up(operation, waited, Effect::NotApplied, Locked)
}

/// Whether the server refuses a statement for good, as one that this role may not run.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let permanent = error.code().is_some_and(|code| matches!(kind_of(&code), Kind::Permanent));
    permanent && !ends_the_connection(&**error)
}

/// Whether the server's answer to a statement is final. An error with which a connection ends is
/// not: a pooler makes one up when it has lost the server, which may go on with the statement.
pub(crate) fn is_answer<T>(answer: &sqlx::Result<T>) -> bool {
    match answer {
        Ok(_) => true,
        Err(sqlx::Error::Database(error)) => {
            let lost = error.code().is_some_and(|code| matches!(kind_of(&code), Kind::Lost));
            ended_the_session(&**error) || (!lost && !ends_the_connection(&**error))
        }
        Err(_) => false,
    }
}

/// The failure of a statement that was, or may have been, sent. `longest` is the time that it had.
pub(crate) fn failure(operation: Operation, error: WorkError, longest: Duration) -> Failure {
    use sqlx::Error as E;
    let error = match error {
        WorkError::Driver(error) => error,
        WorkError::TooLate => {
            return Failure::of_call(Error::too_late(operation));
        }
    };
    let kind = match &error {
        E::Database(database) if ended_the_session(&**database) => Kind::Refused,
        E::Database(database) if ends_the_connection(&**database) => Kind::Lost,
        E::Database(database) => database.code().map_or(Kind::Permanent, |code| kind_of(&code)),
        E::Io(_)
        | E::Tls(_)
        | E::Protocol(_)
        | E::WorkerCrashed
        | E::PoolClosed
        | E::PoolTimedOut => Kind::Lost,
        // The answer could not be read: the statement itself went through.
        E::RowNotFound
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_)
        | E::ColumnDecode { .. }
        | E::Decode(_)
        | E::AnyDriverError(_) => {
            let error = Error::backend(operation, Effect::Unknown, false, error);
            return Failure::of_call(error);
        }
        // Nothing was sent.
        E::Configuration(_) | E::InvalidArgument(_) | E::Encode(_) => Kind::Permanent,
        // Errors of later releases of the driver.
        _ => Kind::Lost,
    };
    let read_only =
        matches!(&error, E::Database(database) if database.code().as_deref() == Some("25006"));
    let evicts = matches!(kind, Kind::Refused | Kind::Lost) && !read_only;
    let ended = matches!(&error, E::Database(database) if ended_the_session(&**database));
    let elsewhere = ended || (matches!(kind, Kind::Lost) && !commits(operation));
    let error = match kind {
        Kind::Transient => Error::backend(operation, Effect::NotApplied, true, error),
        Kind::Permanent | Kind::Content => {
            Error::backend(operation, Effect::NotApplied, false, error)
        }
        Kind::TimedOut => Error::timed_out(operation, longest, Effect::NotApplied),
        Kind::Locked => Error::gave_up(operation, longest, Effect::NotApplied, error),
        Kind::Refused => Error::unavailable(operation, Effect::NotApplied, Some(error.into())),
        Kind::Lost => Error::unavailable(operation, Effect::Unknown, Some(error.into())),
        Kind::Corrupt => Error::corrupt(operation, format!("reported by the server: {error}")),
    };
    Failure { error, evicts, elsewhere, read_only }
}

/// Whether the success of a call means that the server has committed something.
pub(crate) fn commits(operation: Operation) -> bool {
    operation.is_write() || operation == Operation::Ready
}

/// The token of a session is of a timeline that no host has reached.
#[derive(Debug, thiserror::Error)]
#[error("the session has seen a primary that was promoted later than that of these hosts")]
struct OutdatedHosts;

/// The failure of a read that must see a write of a later timeline.
pub(crate) fn outdated_hosts(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, Some(OutdatedHosts.into()))
}

/// An earlier change of the same is not settled.
#[derive(Debug, thiserror::Error)]
#[error("an earlier attempt to change the same is pending")]
struct Unsettled;

/// The failure of a call that was not sent, because it meets an earlier change that is not settled.
pub(crate) fn unsettled(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, Some(Unsettled.into()))
}

/// No host took the connection: nothing of the call was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no host answered within {0:?}")]
    TimedOut(Duration),
    #[error("none of the hosts accepts writes")]
    ReadOnly,
    #[error("the host was the primary of an earlier timeline, and another has been promoted since")]
    Replaced,
    #[error(
        "the session lacks its statement_timeout, so a pooler lends it: add pooler=transaction"
    )]
    SettingsIgnored,
    #[error("the environment (PGOPTIONS) sets {0} for connections of this process; unset it")]
    ForeignSettings(String),
    #[error("the password provider gave no password")]
    NoPassword(#[source] PasswordError),
    #[error("could not connect")]
    Failed(#[from] sqlx::Error),
}

/// The failure of a call that got no connection.
pub(crate) fn no_connection(operation: Operation, error: PoolError<ConnectError>) -> Error {
    let unavailable = |error| Error::unavailable(operation, Effect::NotApplied, Some(error));
    match error {
        PoolError::Timeout(TimeoutType::Wait) => Error::overloaded(operation),
        PoolError::Closed => Error::closed(operation),
        PoolError::Backend(error) => connect_error(operation, error),
        error => unavailable(error.into()),
    }
}

impl ConnectError {
    /// The one error for the failures of all hosts. A host that may come back keeps the errors of
    /// the others from being final.
    pub(crate) fn of_all(failures: Vec<HostFailure<Self>>) -> Self {
        let failures = failures.into_iter().map(|failure| match failure {
            HostFailure::TimedOut(after) => Self::TimedOut(after),
            HostFailure::Failed(error) => error,
        });
        failures.min_by_key(Self::is_permanent).unwrap_or(Self::ReadOnly)
    }

    /// Wrong credentials stay wrong, a silent host may come back.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Failed(sqlx::Error::Database(database)) => {
                // Invalid authorization, no such database, no right to a function or no such function.
                let classes = ["28", "3D", "42", "0A"];
                database.code().is_some_and(|code| classes.iter().any(|own| code.starts_with(own)))
            }
            Self::Failed(sqlx::Error::Configuration(_))
            | Self::SettingsIgnored
            | Self::ForeignSettings(_) => true,
            _ => false,
        }
    }
}

/// The failure to connect.
pub(crate) fn connect_error(operation: Operation, error: ConnectError) -> Error {
    if error.is_permanent() {
        Error::backend(operation, Effect::NotApplied, false, error)
    } else {
        Error::unavailable(operation, Effect::NotApplied, Some(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect_and_retry(code: &str) -> (Effect, bool) {
        match kind_of(code) {
            Kind::Transient | Kind::TimedOut | Kind::Locked | Kind::Refused => {
                (Effect::NotApplied, true)
            }
            Kind::Permanent | Kind::Content => (Effect::NotApplied, false),
            Kind::Lost => (Effect::Unknown, true),
            Kind::Corrupt => (Effect::Unknown, false),
        }
    }

    #[test]
    fn a_statement_that_was_rolled_back_is_not_applied() {
        for code in [
            "40001", "40P01", "40002", "55P03", "55006", "53300", "53100", "53400", "57P03",
            "57014", "25006", "25P02", "26000", "42P05", "58030", "72000",
        ] {
            assert_eq!(effect_and_retry(code), (Effect::NotApplied, true), "{code}");
        }
        for code in ["42P01", "42501", "23505", "22021", "P0001"] {
            assert_eq!(effect_and_retry(code), (Effect::NotApplied, false), "{code}");
        }
    }

    #[test]
    fn a_statement_is_divided_only_if_its_content_was_refused() {
        for code in ["22021", "22P05", "23514", "23505", "54000", "P0001"] {
            assert!(matches!(kind_of(code), Kind::Content), "{code}");
        }
        for code in ["42P01", "42501", "57014", "25006", "53100", "é", ""] {
            assert!(!matches!(kind_of(code), Kind::Content), "{code}");
        }
    }

    #[test]
    fn the_effect_of_a_statement_whose_connection_was_lost_is_unknown() {
        for code in ["08000", "08006", "08P01", "57P01", "57P02", "57P05", "25P03", "40003"] {
            assert_eq!(effect_and_retry(code), (Effect::Unknown, true), "{code}");
        }
    }
}
