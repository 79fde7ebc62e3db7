//! Commands that stand or fall together, and how they travel.

use std::time::Duration;

use redis::{Cmd, Pipeline, RedisError, Value, cmd};
use tokio::time::Instant;

use crate::wire::connection::{Answers, Connection};
use crate::wire::failure::{Failure, refusal};
use crate::wire::node::Node;

/// Commands of one slot: one, or several that are a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) slot: u16,
    commands: Vec<Cmd>,
    /// Whether it changes anything: then it is done when the replicas have it that were asked for.
    writes: bool,
}

/// What a unit was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// One value a command.
    pub(crate) values: Vec<Value>,
    /// The server that answered.
    pub(crate) server: u64,
}

impl Unit {
    /// A command that reads.
    pub(crate) fn read(slot: u16, command: Cmd) -> Self {
        Self { slot, commands: vec![command], writes: false }
    }

    /// Commands with nothing between them, of which no replica has to know.
    pub(crate) fn together(slot: u16, commands: Vec<Cmd>) -> Self {
        Self { slot, commands, writes: false }
    }

    /// Commands that write. Several happen all or not at all, with nothing between them.
    pub(crate) fn write(slot: u16, commands: Vec<Cmd>) -> Self {
        Self { slot, commands, writes: true }
    }

    fn is_transaction(&self) -> bool {
        self.commands.len() > 1
    }

    /// How many answers it gets.
    fn answers(&self, asking: bool) -> usize {
        let around = if self.is_transaction() { 2 } else { 0 };
        self.commands.len() + around + usize::from(asking)
    }

    fn append_to(&self, pipeline: &mut Pipeline, asking: bool) {
        if asking {
            // Holds for the next command, or for the transaction that it begins.
            pipeline.cmd("ASKING");
        }
        if self.is_transaction() {
            pipeline.cmd("MULTI");
        }
        for command in &self.commands {
            pipeline.add_command(command.clone());
        }
        if self.is_transaction() {
            pipeline.cmd("EXEC");
        }
    }

    /// Reads the answers to what [`append_to`](Self::append_to) appended.
    fn answer(&self, mut answers: Vec<Value>, server: u64) -> Result<Answer, Failure> {
        let last = answers.pop().ok_or(Failure::Unreadable("fewer answers than questions"))?;
        if !self.is_transaction() {
            let value = last.extract_error().map_err(refusal)?;
            return Ok(Answer { values: vec![value], server });
        }
        match last {
            Value::Array(values) if values.len() == self.commands.len() => {
                let values = values.into_iter().map(Value::extract_error);
                let values = values.collect::<Result<_, _>>().map_err(Failure::Partly)?;
                Ok(Answer { values, server })
            }
            // Without the right to `MULTI` they were no transaction.
            Value::ServerError(error) if answers.iter().any(is_done) => {
                Err(Failure::Partly(cause(answers, error.into())))
            }
            Value::ServerError(error) => Err(refusal(cause(answers, error.into()))),
            _ => Err(Failure::Unreadable("an answer to EXEC that is none")),
        }
    }
}

/// Whether a command was neither queued nor refused.
fn is_done(answer: &Value) -> bool {
    match answer {
        Value::Okay | Value::ServerError(_) => false,
        Value::SimpleString(text) => text != "QUEUED",
        _ => true,
    }
}

/// Why a transaction was discarded, or was none: what was wrong with the first command that was.
fn cause(queued: Vec<Value>, discarded: RedisError) -> RedisError {
    queued.into_iter().find_map(|answer| answer.extract_error().err()).unwrap_or(discarded)
}

/// Sends units to a node in one piece. Those that wait for replicas go on a connection of their
/// own, which `WAIT` covers and blocks.
pub(crate) async fn send(
    node: &Node,
    units: &[Unit],
    asking: bool,
) -> Vec<Result<Answer, Failure>> {
    let replicas = node.config().wait_replicas;
    let began = Instant::now();
    let sent = if replicas > 0 && units.iter().any(|unit| unit.writes) {
        match node.lane().await {
            Ok(lane) => {
                let patience = node.config().wait_timeout;
                send_on(node, &lane, units, asking, (replicas, patience)).await
            }
            Err(failure) => Err(failure),
        }
    } else {
        match node.connection().await {
            Ok(connection) => send_on(node, &connection, units, asking, (0, Duration::ZERO)).await,
            Err(failure) => Err(failure),
        }
    };
    let answers =
        sent.unwrap_or_else(|failure| units.iter().map(|_| Err(failure.clone())).collect());
    if answers.iter().any(|answer| answer.as_ref().is_err_and(Failure::evicts)) {
        node.evict(began);
    }
    answers
}

async fn send_on(
    node: &Node,
    connection: &Connection,
    units: &[Unit],
    asking: bool,
    (replicas, patience): (u32, Duration),
) -> Result<Vec<Result<Answer, Failure>>, Failure> {
    let count: usize = units.iter().map(|unit| unit.answers(asking)).sum();
    let mut pipeline = Pipeline::with_capacity(count + 1);
    for unit in units {
        unit.append_to(&mut pipeline, asking);
    }
    if replicas > 0 {
        let wait = cmd("WAIT").arg(replicas).arg(patience.as_millis() as u64).to_owned();
        pipeline.add_command(wait);
    }
    let Answers { values, stale } = connection.send(pipeline, patience).await?;
    if stale.as_ref().is_some_and(Failure::evicts) {
        node.evict(connection.born);
    }
    let mut answers = values.into_iter();
    let read = |unit: &Unit| {
        let own = answers.by_ref().take(unit.answers(asking)).collect();
        match &stale {
            Some(failure) if !unit.writes => Err(failure.clone()),
            // It may have been done while the server was the primary, and then it must not be sent
            // again, since its outcome would be another one; but it may be gone by now.
            Some(Failure::ReadOnly(error)) => {
                unit.answer(own, connection.server).and(Err(Failure::Demoted(error.clone())))
            }
            _ => unit.answer(own, connection.server),
        }
    };
    let mut read: Vec<_> = units.iter().map(read).collect();
    if replicas > 0 {
        let failure = match answers.next() {
            Some(Value::Int(have)) if have >= i64::from(replicas) => None,
            Some(Value::Int(have)) => Some(Failure::NotReplicated(have)),
            // Without the right to wait.
            Some(Value::ServerError(error)) => Some(Failure::Partly(error.into())),
            _ => Some(Failure::Unreadable("an answer to WAIT that is none")),
        };
        if let Some(failure) = failure {
            for answer in read.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(failure.clone());
            }
        }
    }
    Ok(read)
}
