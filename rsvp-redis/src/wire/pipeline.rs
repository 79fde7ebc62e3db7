//! One pipeline on one connection. It consists of the due fences, the requests, and the wait for
//! replicas behind them.

use std::time::Duration;

use redis::Pipeline;
use tokio::time::sleep_until;

use crate::config::RedisConfig;
use crate::wire::call_deadline::Call;
use crate::wire::connection::{Connection, Replies};
use crate::wire::connection_fence::{Fences, Kills};
use crate::wire::failure::Failure;
use crate::wire::replica_wait::ReplicaWait;
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
    let wait = ReplicaWait::behind(requests, config);
    // Step 1: find the connections to fence. A write of an abandoned connection must not come after
    // this one. If it can be stopped, its fence goes into the pipeline. Otherwise this write waits
    // until it can no longer arrive.
    if writes {
        fences.replaced_by(connection.identity.server, connection.born);
        hold(fences, connection, config, call).await?;
    }
    let kills = if writes { fences.due(connection.identity) } else { Kills::default() };
    // Step 2: build one pipeline of the fences, all requests, and the wait for replicas. The server
    // executes them in this order.
    let extra = if wait.is_some() { config.wait_timeout } else { Duration::ZERO };
    let reply_timeout = call.reply_timeout(config.response_timeout + extra, writes)?;
    let count: usize = requests.iter().map(|request| request.replies(asking)).sum();
    let mut pipeline = Pipeline::with_capacity(kills.len() + count + 3);
    kills.commands().for_each(|kill| {
        pipeline.add_command(kill);
    });
    for request in requests {
        request.append_to(&mut pipeline, asking);
    }
    if let Some(wait) = &wait {
        wait.append_to(&mut pipeline, asking, reply_timeout);
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
    // Step 4: without enough replicas no request is acknowledged.
    let identity = connection.identity.server;
    if let Some(failure) = wait.and_then(|wait| wait.failure(&mut rest, asking, identity)) {
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
