//! One pipeline on one connection. It consists of the due fences, the requests, and `WAIT` behind
//! them.

use std::time::Duration;

use redis::{Pipeline, Value, cmd};
use tokio::time::sleep_until;

use crate::config::RedisConfig;
use crate::wire::call::Call;
use crate::wire::connection::{Connection, Replies};
use crate::wire::failure::Failure;
use crate::wire::fence::{Fences, Kills};
use crate::wire::request::{Answer, Request};

/// The replies to a pipeline, by request.
pub(crate) struct Exchanged {
    pub(crate) answers: Vec<Result<Answer, Failure>>,
    /// Whether the server was found to be no primary any more.
    pub(crate) demoted: bool,
}

/// Sends requests on a connection and reads their replies.
pub(crate) async fn exchange(
    connection: &Connection,
    fences: &Fences,
    config: &RedisConfig,
    call: Call,
    requests: &[Request],
    asking: bool,
) -> Result<Exchanged, Failure> {
    let writes = requests.iter().any(|request| request.writes);
    let waits = writes && config.wait_replicas > 0;
    // Step 1: find the connections to fence. A write of an abandoned connection must not come after
    // this one. If it can be stopped, its fence goes into the pipeline. Otherwise this write waits
    // until it can no longer arrive.
    if writes {
        fences.replaced_by(connection.identity.server, connection.born);
        hold(fences, connection, config, call).await?;
    }
    let kills = if writes { fences.due(connection.identity) } else { Kills::default() };
    // Step 2: build one pipeline of the fences, all requests, a marker, and `WAIT`. The server
    // executes them in this order.
    let extra = if waits { config.wait_timeout } else { Duration::ZERO };
    let reply_timeout = call.reply_timeout(config.response_timeout + extra, writes)?;
    let count: usize = requests.iter().map(|request| request.replies(asking)).sum();
    let marker = requests.iter().rfind(|request| request.writes).filter(|_| waits);
    let marker = marker.map(|last| marker_beside(last, &config.prefix));
    let mut pipeline = Pipeline::with_capacity(kills.len() + count + 3);
    kills.commands().for_each(|kill| {
        pipeline.add_command(kill);
    });
    for request in requests {
        request.append_to(&mut pipeline, asking);
    }
    if let Some(marker) = &marker {
        marker.append_to(&mut pipeline, asking);
    }
    if waits {
        // The server gives up before the call does, so that its reply arrives in time.
        let limit = match reply_timeout.of_call {
            true => config.wait_timeout.min(reply_timeout.time * 3 / 4),
            false => config.wait_timeout,
        };
        let limit = limit.as_millis().max(1) as u64;
        pipeline.add_command(cmd("WAIT").arg(config.wait_replicas).arg(limit).to_owned());
    }
    let Replies { mut values, demoted } = connection.send(pipeline, reply_timeout).await?;
    // Step 3: hand out the replies in the same order, to the fences, then to each request.
    let mut rest = values.split_off(kills.len().min(values.len())).into_iter();
    if kills.len() > 0 {
        fences.replied(connection.identity.server, &kills, &values);
    }
    let mut answers: Vec<_> = requests
        .iter()
        .map(|request| {
            let replies = rest.by_ref().take(request.replies(asking)).collect();
            let answer = request.answer(replies, connection.identity.server);
            if_primary(request, answer, demoted.as_ref())
        })
        .collect();
    // Step 4: without enough replicas no request is acknowledged. The same holds if the marker
    // could not be written, because `WAIT` then says nothing about these requests.
    let marked = marker.map(|marker| {
        let replies = rest.by_ref().take(marker.replies(asking)).collect();
        marker.answer(replies, connection.identity.server).map(drop)
    });
    let waited = waits.then(|| wait_failure(rest.next(), config.wait_replicas)).flatten();
    if let Some(failure) = marked.and_then(Result::err).map(unmarked).or(waited) {
        for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
            *answer = Err(failure.clone());
        }
    }
    Ok(Exchanged { answers, demoted: demoted.as_ref().is_some_and(Failure::evicts) })
}

/// Waits until no unstoppable write can reach the server late. It fails at its own time limit, and
/// so does not wait for one later write after another.
async fn hold(
    fences: &Fences,
    connection: &Connection,
    config: &RedisConfig,
    call: Call,
) -> Result<(), Failure> {
    let end = call.end_of(config.user_timeout());
    while let Some(until) = fences.held_until(connection.identity.server) {
        if end < until.instant() {
            return Err(Failure::Unsettled);
        }
        sleep_until(until.instant()).await;
    }
    Ok(())
}

/// The answer, unless the server was found to be demoted.
fn if_primary(
    request: &Request,
    answer: Result<Answer, Failure>,
    demoted: Option<&Failure>,
) -> Result<Answer, Failure> {
    match demoted {
        Some(failure) if !request.writes => Err(failure.clone()),
        // The write may have been applied while the server was the primary, and then it must not
        // be sent again, since its outcome would differ. But the new primary may not have it.
        Some(Failure::ReadOnly(error)) => answer.and(Err(Failure::Demoted(error.clone()))),
        _ => answer,
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
