//! `WAIT` behind the writes of a pipeline. The writes are acknowledged only if enough replicas have
//! them.

use std::time::Duration;

use redis::{Pipeline, Value, cmd};

use crate::config::RedisConfig;
use crate::wire::failure::Failure;
use crate::wire::reply_timeout::ReplyTimeout;
use crate::wire::request::Request;

/// A marker and `WAIT`.
pub(crate) struct ReplicaWait {
    replicas: u32,
    timeout: Duration,
    marker: Request,
}

impl ReplicaWait {
    /// The wait behind `requests`, if the store waits for replicas and there is a write.
    pub(crate) fn behind(requests: &[Request], config: &RedisConfig) -> Option<Self> {
        let last = requests.iter().rfind(|request| request.writes)?;
        (config.wait_replicas > 0).then(|| Self {
            replicas: config.wait_replicas,
            timeout: config.wait_timeout,
            marker: marker_beside(last, &config.prefix),
        })
    }

    pub(crate) fn append_to(
        &self,
        pipeline: &mut Pipeline,
        asking: bool,
        reply_timeout: ReplyTimeout,
    ) {
        self.marker.append_to(pipeline, asking);
        // The server gives up before the call does, so that its reply arrives in time.
        let limit = match reply_timeout.of_call {
            true => self.timeout.min(reply_timeout.time * 3 / 4),
            false => self.timeout,
        };
        let limit = limit.as_millis().max(1) as u64;
        pipeline.add_command(cmd("WAIT").arg(self.replicas).arg(limit).to_owned());
    }

    /// Takes the replies to the marker and to `WAIT`, and returns their failure, if there is one.
    ///
    /// If the marker could not be written, `WAIT` says nothing about the writes before it.
    pub(crate) fn failure(
        &self,
        replies: &mut impl Iterator<Item = Value>,
        asking: bool,
        server: u64,
    ) -> Option<Failure> {
        let of_marker = replies.by_ref().take(self.marker.replies(asking)).collect();
        let marked = self.marker.answer(of_marker, server);
        let waited = wait_failure(replies.next(), self.replicas);
        marked.err().map(unmarked).or(waited)
    }
}

/// A write of an empty value in the slot of `request`, gone after a millisecond.
///
/// Since Redis 7.2, and in Valkey, `WAIT` waits for the last replicated write of its connection. A
/// repeated write changes nothing and is not replicated, although the replicas may lack the first
/// one. A `SET` is always replicated.
fn marker_beside(request: &Request, prefix: &str) -> Request {
    let key = format!("{prefix}:w:{{{}}}", request.tag());
    Request::write(request.slot, vec![cmd("SET").arg(key).arg("").arg("PX").arg(1).to_owned()])
}

/// The failure of requests without a marker behind them, for example because its slot has moved
/// meanwhile. Replicas may lack the requests.
fn unmarked(failure: Failure) -> Failure {
    match failure {
        Failure::Rejected(error) => Failure::PartlyApplied(error),
        _ => Failure::NotReplicated(0),
    }
}

/// The failure in a reply to `WAIT`, if there is one.
fn wait_failure(reply: Option<Value>, replicas: u32) -> Option<Failure> {
    match reply {
        Some(Value::Int(have)) if have >= i64::from(replicas) => None,
        Some(Value::Int(have)) => Some(Failure::NotReplicated(have)),
        // Without the right to `WAIT`.
        Some(Value::ServerError(error)) => Some(Failure::PartlyApplied(error.into())),
        _ => Some(Failure::Malformed("unexpected reply to WAIT")),
    }
}
