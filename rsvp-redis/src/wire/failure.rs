//! The errors of Redis and of the driver, mapped to those of the store by kind and code.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rsvp_core::url::Host;
use rsvp_core::{Deadline, Effect, Error, Operation};

use crate::config::CredentialError;
use crate::wire::reply_timeout::ReplyTimeout;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No connection could be made, so nothing was sent.
    NotConnected(Arc<ConnectError>),
    /// No node is known to own the slot.
    NoOwner,
    /// Every connection for a single caller is busy.
    Busy,
    /// The deadline passed before anything was sent, after waiting for this long.
    TooLate(Duration),
    /// An earlier write may still take effect on this server, and cannot be stopped.
    Unsettled,
    /// Another writer changed a watched key, and the transaction was not executed.
    Outrun,
    /// `MOVED`. Another node owns the slot.
    Moved(RedisError),
    /// `ASK`. The slot is migrating to another node, and the key is there already.
    Ask(RedisError),
    /// Refused before any effect, for a passing reason.
    NotNow(RedisError),
    /// `READONLY`. The server is a replica, perhaps a demoted primary.
    ReadOnly(RedisError),
    /// Refused before any effect, for a lasting reason.
    Rejected(RedisError),
    /// A command failed for a lasting reason after others of the request had taken effect.
    PartlyApplied(RedisError),
    /// Executed by a server, but it turned out to be a replica afterwards.
    Demoted(RedisError),
    /// The connection was lost at an unknown moment.
    Lost(RedisError),
    /// No reply arrived in time. The server is taken to be silent.
    TimedOut(Duration),
    /// No reply arrived before the deadline of the call. It may be too short for the server.
    Late(Duration),
    /// A failure of a request with a possible later effect, until this moment at the latest.
    Pending(Box<Failure>, Deadline),
    /// Other writers changed the same pairs in every round.
    Contended,
    /// The primary has the write, but only this number of replicas acknowledged it in time.
    NotReplicated(i64),
    /// The reply does not fit the command.
    Malformed(&'static str),
}

/// Maps a server's error reply to a single command, or to a whole transaction. The command had no
/// effect.
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
            // A transaction whose commands were refused for an unknown reason.
            | ServerErrorKind::ExecAbort => Failure::NotNow(error),
            _ => Failure::Rejected(error),
        },
        ErrorKind::Extension => match error.code() {
            // Out of memory, unable to persist, too few replicas, a running script.
            Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY") => Failure::NotNow(error),
            _ => Failure::Rejected(error),
        },
        _ => Failure::Rejected(error),
    }
}

/// Maps an error of the driver from sending a request or awaiting its reply.
pub(crate) fn loss(error: RedisError, waited: ReplyTimeout) -> Failure {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() && waited.of_call => Failure::Late(waited.time),
        ErrorKind::Io if error.is_timeout() => Failure::TimedOut(waited.time),
        ErrorKind::Server(_) | ErrorKind::Extension => refusal(error),
        ErrorKind::InvalidClientConfig | ErrorKind::Client => Failure::Rejected(error),
        // I/O, a reply that cannot be parsed, and kinds that later releases add.
        _ => Failure::Lost(error),
    }
}

impl Failure {
    /// Whether the request took effect.
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::NotConnected(_)
            | Self::NoOwner
            | Self::Busy
            | Self::TooLate(_)
            | Self::Unsettled
            | Self::Outrun
            | Self::Moved(_)
            | Self::Ask(_)
            | Self::NotNow(_)
            | Self::ReadOnly(_)
            | Self::Rejected(_) => Effect::NotApplied,
            Self::PartlyApplied(_)
            | Self::Demoted(_)
            | Self::Lost(_)
            | Self::TimedOut(_)
            | Self::Late(_)
            | Self::NotReplicated(_)
            | Self::Contended
            | Self::Malformed(_) => Effect::Unknown,
            Self::Pending(_, until) => Effect::Pending(*until),
        }
    }

    /// Whether the request was sent without a reply. The server may still have it.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::TimedOut(_) | Self::Late(_))
    }

    /// Whether the content of a request can be the reason of the refusal, for example its need of
    /// memory or one of its keys. Other requests may be accepted.
    pub(crate) fn may_be_of_content(&self) -> bool {
        match self {
            Self::Rejected(_) => true,
            Self::NotNow(error) => error.code() == Some("OOM"),
            _ => false,
        }
    }

    /// Whether the connection and those beside it must be replaced. They are dead, or lead to a
    /// demoted primary.
    pub(crate) fn evicts(&self) -> bool {
        matches!(
            self,
            Self::Demoted(_)
                | Self::Lost(_)
                | Self::TimedOut(_)
                | Self::ReadOnly(_)
                | Self::Malformed(_)
        )
    }

    /// Whether the request had no effect and another node may accept it. The topology is then worth
    /// refreshing.
    pub(crate) fn is_reroutable(&self) -> bool {
        match self {
            Self::NotConnected(_)
            | Self::NoOwner
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

    /// Whether some keys of the request are migrating (`TRYAGAIN`). The same node will accept it in
    /// a moment.
    pub(crate) fn is_mid_migration(&self) -> bool {
        match self {
            Self::NotNow(error) => error.kind() == ServerErrorKind::TryAgain.into(),
            _ => false,
        }
    }

    /// The error of the entry behind a failed request.
    pub(crate) fn into_error(self, operation: Operation) -> Error {
        let effect = self.effect();
        match self {
            Self::Pending(failure, _) => failure.into_error(operation).with_effect(effect),
            Self::NotConnected(error) => error.into_error(operation),
            Self::NoOwner => Error::unavailable(operation, effect, Some(NoOwner.into())),
            Self::Busy => Error::overloaded(operation),
            Self::Unsettled => Error::unavailable(operation, effect, Some(Unsettled.into())),
            Self::Outrun | Self::Contended => {
                Error::unavailable(operation, effect, Some(Contended.into()))
            }
            Self::Moved(error)
            | Self::Ask(error)
            | Self::NotNow(error)
            | Self::ReadOnly(error)
            | Self::Demoted(error)
            | Self::Lost(error) => Error::unavailable(operation, effect, Some(error.into())),
            Self::Rejected(error) | Self::PartlyApplied(error) => {
                Error::backend(operation, effect, false, error)
            }
            Self::TimedOut(after) | Self::Late(after) | Self::TooLate(after) => {
                Error::timed_out(operation, after, effect)
            }
            Self::NotReplicated(replicas) => {
                Error::unavailable(operation, effect, Some(TooFewReplicas(replicas).into()))
            }
            Self::Malformed(reason) => Error::corrupt(operation, reason),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no node of the cluster is known to own the slot")]
struct NoOwner;

#[derive(Debug, thiserror::Error)]
#[error("the primary has the write, but only {0} replicas acknowledged it in time")]
struct TooFewReplicas(i64);

#[derive(Debug, thiserror::Error)]
#[error("an earlier write may still take effect on this server, and the user may not CLIENT KILL")]
struct Unsettled;

#[derive(Debug, thiserror::Error)]
#[error("other writers kept changing the same data")]
struct Contended;

/// Why no host accepted a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no host answered within {0:?}")]
    TimedOut(Duration),
    #[error("none of the hosts is a primary")]
    ReadOnly,
    #[error("{0}")]
    OtherMode(&'static str),
    #[error("the server refused the login or a command of the handshake: {code}")]
    Refused { code: String, permanent: bool },
    #[error("wait_replicas needs the right to the command WAIT, which the server refuses")]
    NoWait,
    #[error(
        "two of the hosts are primaries, and nothing tells which of them replaced the other: make one \
         of them a replica"
    )]
    TwoPrimaries,
    #[error("the host that answers as the primary has been replaced by another one")]
    Replaced,
    #[error("no sentinel that answers watches a primary of this name")]
    NotWatched,
    #[error("the provider gave no credentials")]
    NoCredentials(#[source] CredentialError),
    #[error("could not connect")]
    Failed(#[source] RedisError),
    #[error("could not connect to {hosts}")]
    Unreachable { hosts: String, source: RedisError },
    #[error("no answer from {hosts} within {after:?}")]
    Silent { hosts: String, after: Duration },
}

impl ConnectError {
    /// The failure of several hosts. It is retryable if one of them is.
    pub(crate) fn of_all(failures: Vec<Self>) -> Self {
        failures.into_iter().min_by_key(Self::is_permanent).unwrap_or(Self::ReadOnly)
    }

    /// Names the hosts in the failure of a connection to them.
    pub(crate) fn of_hosts(self, hosts: &[Host]) -> Self {
        let hosts = hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Failed(source) => Self::Unreachable { hosts, source },
            Self::TimedOut(after) => Self::Silent { hosts, after },
            other => other,
        }
    }

    /// Whether a repetition would fail too. Wrong credentials stay wrong, silence may end.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::Silent { .. }
            | Self::ReadOnly
            | Self::TwoPrimaries
            | Self::Replaced
            | Self::NoCredentials(_) => false,
            Self::OtherMode(_) | Self::NoWait | Self::NotWatched => true,
            Self::Refused { permanent, .. } => *permanent,
            Self::Failed(error) | Self::Unreachable { source: error, .. } => {
                error.kind() == ErrorKind::InvalidClientConfig
            }
        }
    }

    /// The error of a call without the connection.
    pub(crate) fn into_error(self: Arc<Self>, operation: Operation) -> Error {
        if self.is_permanent() {
            Error::backend(operation, Effect::NotApplied, false, self)
        } else {
            Error::unavailable(operation, Effect::NotApplied, Some(self.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn effect_and_retry(reply: &str) -> (Effect, bool) {
        let error = parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        let error = refusal(error.extract_error().unwrap_err()).into_error(Operation::Write);
        (error.effect(), error.is_retryable())
    }

    #[test]
    fn an_error_reply_had_no_effect() {
        for reply in [
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
            assert_eq!(effect_and_retry(reply), (Effect::NotApplied, true), "{reply}");
        }
        for reply in ["ERR x", "WRONGTYPE x", "NOPERM x", "NOAUTH x", "WRONGPASS x", "NEW x"] {
            assert_eq!(effect_and_retry(reply), (Effect::NotApplied, false), "{reply}");
        }
    }

    #[test]
    fn the_effect_of_a_request_lost_with_its_connection_is_unknown() {
        let reply_timeout = ReplyTimeout { time: Duration::ZERO, of_call: false };
        for kind in [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::TimedOut] {
            let failure = loss(std::io::Error::from(kind).into(), reply_timeout);
            assert!(failure.evicts());
            let error = failure.into_error(Operation::Write);
            assert_eq!((error.effect(), error.is_retryable()), (Effect::Unknown, true));
        }
    }

    #[test]
    fn a_deadline_of_the_call_does_not_condemn_the_server() {
        let reply_timeout = ReplyTimeout { time: Duration::from_millis(9), of_call: true };
        let failure =
            loss(std::io::Error::from(std::io::ErrorKind::TimedOut).into(), reply_timeout);
        assert!(failure.is_unanswered() && !failure.evicts());
        let until = Deadline::after(Duration::from_secs(1));
        let pending = Failure::Pending(Box::new(failure), until);
        let error = pending.clone().into_error(Operation::Write);
        assert_eq!((error.effect(), error.is_retryable()), (Effect::Pending(until), true));
        assert_eq!(pending.into_error(Operation::HasRsvped).effect(), Effect::NotApplied);
    }
}
