//! Redis' and the driver's errors as ours, by kind and code.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rsvp_core::{Effect, Error, Operation};

/// Why commands that stand or fall together did not go through.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// There was no connection, so nothing was sent.
    NotConnected(Arc<ConnectError>),
    /// No node is known to serve the slot.
    NotServed,
    /// Too many writes wait for replicas already.
    NoLane,
    /// The slot is served by another node, as its `host:port`.
    Moved(RedisError),
    /// The slot is on its way to another node, which has what this one has not.
    Ask(RedisError),
    /// Refused before any effect, and can succeed by and by.
    NotNow(RedisError),
    /// Refused by a replica: not the primary any more.
    ReadOnly(RedisError),
    /// Refused before any effect, and will be again.
    Rejected(RedisError),
    /// A command failed where others before it had gone through, and will again.
    Partly(RedisError),
    /// Done by a server that was found to be a replica afterwards.
    Demoted(RedisError),
    /// The connection was lost at an unknown moment.
    Lost(RedisError),
    /// There was no answer in time.
    TimedOut(Duration),
    /// Too few replicas have it: how many do.
    NotReplicated(i64),
    /// The answer is none that the command has.
    Unreadable(&'static str),
}

/// The meaning of a server's error answer to a single command, or to a transaction as a whole:
/// it had no effect.
pub(crate) fn refusal(error: RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::Moved => Failure::Moved(error),
            ServerErrorKind::Ask => Failure::Ask(error),
            ServerErrorKind::ReadOnly => Failure::ReadOnly(error),
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            // A transaction whose commands were refused for a reason that is not told.
            | ServerErrorKind::ExecAbort => Failure::NotNow(error),
            _ => Failure::Rejected(error),
        },
        ErrorKind::Extension => match error.code() {
            // Out of memory, unable to persist, too few replicas, a script at work.
            Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY") => Failure::NotNow(error),
            _ => Failure::Rejected(error),
        },
        _ => Failure::Rejected(error),
    }
}

/// The meaning of an error of the driver, after it was asked to send something.
pub(crate) fn loss(error: RedisError, waited: Duration) -> Failure {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => Failure::TimedOut(waited),
        ErrorKind::Server(_) | ErrorKind::Extension => refusal(error),
        ErrorKind::InvalidClientConfig | ErrorKind::Client => Failure::Rejected(error),
        // I/O, an answer that cannot be parsed, and whatever a later release may report.
        _ => Failure::Lost(error),
    }
}

impl Failure {
    /// Whether the commands may have taken effect.
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::NotConnected(_)
            | Self::NotServed
            | Self::NoLane
            | Self::Moved(_)
            | Self::Ask(_)
            | Self::NotNow(_)
            | Self::ReadOnly(_)
            | Self::Rejected(_) => Effect::NotApplied,
            Self::Partly(_)
            | Self::Demoted(_)
            | Self::Lost(_)
            | Self::TimedOut(_)
            | Self::NotReplicated(_)
            | Self::Unreadable(_) => Effect::Unknown,
        }
    }

    /// Whether the connection should not be used again, nor those beside it: they are as dead, or
    /// lead to a server that is not the primary any more.
    pub(crate) fn evicts(&self) -> bool {
        matches!(
            self,
            Self::Demoted(_)
                | Self::Lost(_)
                | Self::TimedOut(_)
                | Self::ReadOnly(_)
                | Self::Unreadable(_)
        )
    }

    /// Whether it was refused before any effect, for a reason that another look at who serves what
    /// may show a way around.
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            Self::NotConnected(_)
            | Self::NotServed
            | Self::Moved(_)
            | Self::Ask(_)
            | Self::ReadOnly(_) => true,
            Self::NotNow(error) => matches!(
                error.kind(),
                ErrorKind::Server(
                    ServerErrorKind::TryAgain
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::BusyLoading
                )
            ),
            _ => false,
        }
    }

    /// Whether the same node will serve it in a moment: a part of what is asked for is on its way
    /// to another one.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::NotNow(error) => error.kind() == ServerErrorKind::TryAgain.into(),
            _ => false,
        }
    }

    pub(crate) fn into_error(self, operation: Operation) -> Error {
        let effect = self.effect();
        match self {
            Self::NotConnected(error) => connect_error(operation, error),
            Self::NotServed => Error::unavailable(operation, effect, Some(NoNode.into())),
            Self::NoLane => Error::overloaded(operation),
            Self::Moved(error)
            | Self::Ask(error)
            | Self::NotNow(error)
            | Self::ReadOnly(error)
            | Self::Demoted(error)
            | Self::Lost(error) => Error::unavailable(operation, effect, Some(error.into())),
            Self::Rejected(error) | Self::Partly(error) => {
                Error::backend(operation, effect, false, error)
            }
            Self::TimedOut(after) => Error::timed_out(operation, after, effect),
            Self::NotReplicated(replicas) => {
                Error::unavailable(operation, effect, Some(TooFewReplicas(replicas).into()))
            }
            Self::Unreadable(what) => Error::corrupt(operation, what),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no node of the cluster is known to serve the slot")]
struct NoNode;

#[derive(Debug, thiserror::Error)]
#[error("the primary has it, but only {0} replicas had it in time")]
struct TooFewReplicas(i64);

/// Others went on changing the same RSVPs, so that the lists of their users could not be settled.
#[derive(Debug, thiserror::Error)]
#[error("others went on changing the same RSVPs")]
pub(crate) struct Contended;

/// Why no host took the connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no host answered within {0:?}")]
    TimedOut(Duration),
    #[error("none of the hosts is a primary")]
    ReadOnly,
    #[error("{0}")]
    OtherMode(&'static str),
    #[error("the server does not say who it is; the user needs the command INFO")]
    Anonymous,
    #[error("the server refused the login or the questions after it: {code}")]
    Refused { code: String, permanent: bool },
    #[error("could not connect")]
    Failed(#[source] RedisError),
}

/// What went wrong with a login. A server may repeat what it was sent, the password too, so of
/// what it says only the code is kept.
pub(crate) fn refused(error: RedisError) -> ConnectError {
    let permanent = match error.kind() {
        ErrorKind::Io | ErrorKind::InvalidClientConfig | ErrorKind::Client => {
            return ConnectError::Failed(error);
        }
        ErrorKind::AuthenticationFailed
        | ErrorKind::RESP3NotSupported
        | ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        _ => matches!(error.code(), Some("WRONGPASS" | "NOAUTH")),
    };
    let code = error.code().unwrap_or(error.category()).to_owned();
    ConnectError::Refused { code, permanent }
}

impl ConnectError {
    /// Wrong credentials will not get better, silence may.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::ReadOnly => false,
            Self::OtherMode(_) | Self::Anonymous => true,
            Self::Refused { permanent, .. } => *permanent,
            Self::Failed(error) => error.kind() == ErrorKind::InvalidClientConfig,
        }
    }
}

/// What went wrong while connecting.
pub(crate) fn connect_error(operation: Operation, error: Arc<ConnectError>) -> Error {
    if error.is_permanent() {
        Error::backend(operation, Effect::NotApplied, false, error)
    } else {
        Error::unavailable(operation, Effect::NotApplied, Some(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn effect_and_retry(answer: &str) -> (Effect, bool) {
        let error = parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        let error = refusal(error.extract_error().unwrap_err()).into_error(Operation::Write);
        (error.effect(), error.is_retryable())
    }

    #[test]
    fn an_error_answer_had_no_effect() {
        for answer in [
            "MOVED 1 h:1",
            "ASK 1 h:1",
            "TRYAGAIN x",
            "CLUSTERDOWN x",
            "LOADING x",
            "READONLY x",
            "OOM command not allowed",
            "MISCONF x",
            "NOREPLICAS x",
            "EXECABORT x",
        ] {
            assert_eq!(effect_and_retry(answer), (Effect::NotApplied, true), "{answer}");
        }
        for answer in ["ERR x", "WRONGTYPE x", "NOPERM x", "NOAUTH x", "WRONGPASS x", "NEW x"] {
            assert_eq!(effect_and_retry(answer), (Effect::NotApplied, false), "{answer}");
        }
    }

    #[test]
    fn what_was_lost_with_the_connection_is_unknown() {
        for kind in [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::TimedOut] {
            let failure = loss(std::io::Error::from(kind).into(), Duration::ZERO);
            assert!(failure.evicts());
            let error = failure.into_error(Operation::Write);
            assert_eq!((error.effect(), error.is_retryable()), (Effect::Unknown, true));
        }
    }
}
