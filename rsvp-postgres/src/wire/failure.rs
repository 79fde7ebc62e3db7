//! The errors of Postgres and of the driver, mapped by code to errors of the library.

use std::time::Duration;

use deadpool::managed::{PoolError, TimeoutType};
use rsvp_core::backend::HostFailure;
use rsvp_core::{Effect, Error, Operation};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};

use crate::config::PasswordError;

/// The reason why a work has no answer.
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
    /// Neither this connection nor the idle ones to the same server should be used again.
    pub(crate) evicts: bool,
    /// Another connection may serve the call at once. The statement was certainly not executed,
    /// or only reads.
    pub(crate) elsewhere: bool,
    /// The server is read-only. Another host may be the primary.
    pub(crate) read_only: bool,
}

impl Failure {
    /// Makes a failure of the call alone. It says nothing about the server.
    pub(crate) fn of_call(error: Error) -> Self {
        Self { error, evicts: false, elsewhere: false, read_only: false }
    }
}

enum Kind {
    /// Certainly rolled back, and can succeed later.
    Transient,
    /// Certainly rolled back, and will fail again.
    Permanent,
    /// Refused for its content, certainly rolled back. Without the culprit it can succeed.
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

/// Returns the meaning of a SQLSTATE (Postgres manual, appendix A).
fn kind_of(code: &str) -> Kind {
    match code {
        "55P03" => Kind::Locked,
        "57014" => Kind::TimedOut,
        // An object in use, as by a change of the tables. A prepared statement missing in the
        // session, or there already. A transaction in the failed state.
        "55006" | "26000" | "42P05" | "25P02" => Kind::Transient,
        // Read-only: a demoted primary. Starting up or shutting down. Too many connections.
        "25006" | "57P03" | "53300" => Kind::Refused,
        // Statement completion unknown; the connection or the database went away, or was idle for
        // too long.
        "40003" | "57P01" | "57P02" | "57P04" | "57P05" | "25P03" | "25P04" => Kind::Lost,
        "XX001" | "XX002" => Kind::Corrupt,
        code => match code.get(..2) {
            Some("08") => Kind::Lost,
            // Serialization failure, deadlock, and other causes of a rollback. Out of disk, memory
            // or another resource. An error of the operating system. A snapshot too old.
            Some("40" | "53" | "58" | "72") => Kind::Transient,
            // Data, such as a character that the database's encoding lacks; a constraint; a view's
            // check; a limit, such as the size of an index entry; an exception of a trigger.
            Some("22" | "23" | "44" | "54" | "P0") => Kind::Content,
            // An error aborts the statement, so it has had no effect.
            _ => Kind::Permanent,
        },
    }
}

/// Returns the SQLSTATE if the server refused a statement for its content.
/// A part of the statement may succeed.
pub(crate) fn content_code(error: &Error) -> Option<String> {
    let Error::Backend { source, .. } = error else { return None };
    let code = match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => database.code(),
        _ => None,
    };
    code.filter(|code| matches!(kind_of(code), Kind::Content)).map(|code| code.into_owned())
}

/// Whether the server panics or ends the connection.
/// It may do so during a commit, with any code.
fn ends_the_connection(error: &dyn DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the server itself ended the session outside of a commit.
/// Then the statement has no effect.
/// The error of a pooler does not name this routine of the server's source.
fn ended_the_session(error: &dyn DatabaseError) -> bool {
    let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
    ends_the_connection(error) && routine == Some("ProcessInterrupts")
}

/// Whether a prepared statement is out of date. It does not exist in this session, or its tables
/// have changed since. It was not executed.
pub(crate) fn is_outdated(error: &WorkError) -> bool {
    let WorkError::Driver(sqlx::Error::Database(error)) = error else { return false };
    matches!(error.code().as_deref(), Some("0A000" | "26000" | "42P05"))
        && !ends_the_connection(&**error)
}

/// Whether a call failed after a wait for a lock of another session.
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

/// Makes the failure of a call that was not sent, because its event is locked and another call
/// has its turn.
pub(crate) fn locked(operation: Operation, waited: Duration) -> Error {
    Error::gave_up(operation, waited, Effect::NotApplied, Locked)
}

/// Whether the server refuses a statement for good, as for a missing right of the role.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let permanent = error.code().is_some_and(|code| matches!(kind_of(&code), Kind::Permanent));
    permanent && !ends_the_connection(&**error)
}

/// Whether the server's answer to a statement is final.
///
/// An error at the end of a connection is not final.
/// A pooler may have made it after it lost the server, and the server may go on with the statement.
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

/// Makes the failure of a statement that was sent, or may have been. `longest` is the time spent
/// on it.
pub(crate) fn failure(operation: Operation, error: WorkError, longest: Duration) -> Failure {
    use sqlx::Error as E;
    // 1. The kind of the error.
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
        // The statement went through, but its answer could not be read.
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
    // 2. Its meaning for the connection. A read-only server still answers reads.
    let read_only =
        matches!(&error, E::Database(database) if database.code().as_deref() == Some("25006"));
    let evicts = matches!(kind, Kind::Refused | Kind::Lost) && !read_only;
    let ended = matches!(&error, E::Database(database) if ended_the_session(&**database));
    let elsewhere = ended || (matches!(kind, Kind::Lost) && !commits(operation));
    // 3. Its meaning for the caller.
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

/// Whether a successful call has committed something.
pub(crate) fn commits(operation: Operation) -> bool {
    operation.is_write() || operation == Operation::Ready
}

/// The token of a session is of a later timeline than every host's.
#[derive(Debug, thiserror::Error)]
#[error("the session has seen a primary that was promoted later than that of these hosts")]
struct OutdatedHosts;

/// Makes the failure of a read that must see a write of a later timeline.
pub(crate) fn outdated_hosts(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, Some(OutdatedHosts.into()))
}

/// An earlier change of the same data is not settled.
#[derive(Debug, thiserror::Error)]
#[error("an earlier attempt to change the same is pending")]
struct Unsettled;

/// Makes the failure of a call that was not sent, because it meets an unsettled change.
pub(crate) fn unsettled(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, Some(Unsettled.into()))
}

/// No host took the connection, so nothing of the call was sent.
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
    #[error("could not connect to {hosts}")]
    Unreachable { hosts: String, source: sqlx::Error },
    #[error("no answer from {hosts} within {after:?}")]
    Silent { hosts: String, after: Duration },
}

/// Makes the failure of a call without a connection.
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
    /// Makes one error from the failures of all hosts.
    /// It is permanent only if no host may come back.
    pub(crate) fn of_all(failures: Vec<HostFailure<Self>>) -> Self {
        let failures = failures.into_iter().map(|failure| match failure {
            HostFailure::TimedOut(after) => Self::TimedOut(after),
            HostFailure::Failed(error) => error,
        });
        failures.min_by_key(Self::is_permanent).unwrap_or(Self::ReadOnly)
    }

    /// Names the hosts in the failure of a connection to them.
    pub(crate) fn of_hosts<'a>(
        self,
        hosts: impl IntoIterator<Item = &'a PgConnectOptions>,
    ) -> Self {
        let name = |host: &PgConnectOptions| match host.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", host.get_host(), host.get_port()),
        };
        let hosts = hosts.into_iter().map(name).collect::<Vec<_>>().join(", ");
        match self {
            Self::Failed(source) => Self::Unreachable { hosts, source },
            Self::TimedOut(after) => Self::Silent { hosts, after },
            other => other,
        }
    }

    /// Whether another try is in vain.
    /// Wrong credentials stay wrong, but a silent host may come back.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Failed(sqlx::Error::Database(database))
            | Self::Unreachable { source: sqlx::Error::Database(database), .. } => {
                // Invalid authorization, no such database, no such function or no right to it.
                let classes = ["28", "3D", "42", "0A"];
                database.code().is_some_and(|code| classes.iter().any(|own| code.starts_with(own)))
            }
            Self::Failed(sqlx::Error::Configuration(_))
            | Self::Unreachable { source: sqlx::Error::Configuration(_), .. }
            | Self::SettingsIgnored
            | Self::ForeignSettings(_) => true,
            _ => false,
        }
    }
}

/// Makes the failure of a call from the failure to connect.
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
