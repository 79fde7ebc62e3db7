//! Requests of one slot, their answers, and the trait to send them.

use std::ops::Add;

use redis::{Arg, Cmd, Pipeline, RedisError, Value};
use rsvp_core::backend::combine;
use rsvp_core::{Error, Result};

use crate::wire::call_deadline::Call;
use crate::wire::failure::{Failure, refusal};

/// The bytes around an argument on the wire, about.
const ARGUMENT_FRAME: usize = 8;

/// Commands of one slot, a single one or several in a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) slot: u16,
    commands: Vec<Cmd>,
    /// Whether it must reach the configured number of replicas, and be settled when it fails.
    pub(crate) writes: bool,
}

/// How much a request asks of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) arguments: usize,
    pub(crate) bytes: usize,
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { arguments: self.arguments + other.arguments, bytes: self.bytes + other.bytes }
    }
}

/// The reply to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// One value for each command. In a transaction a command may fail while the others take
    /// effect. Its value is then the error.
    pub(crate) values: Vec<Value>,
    /// The process of the answering server.
    pub(crate) server: u64,
}

impl Answer {
    /// The answer, unless a command of the transaction has failed.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let server = self.server;
        let values = self.values.into_iter().map(Value::extract_error);
        let values = values.collect::<Result<_, _>>().map_err(Failure::PartlyApplied)?;
        Ok(Self { values, server })
    }

    /// The value of the first command.
    pub(crate) fn into_value(self) -> Option<Value> {
        self.values.into_iter().next()
    }
}

/// Sends requests to the owners of their slots.
pub(crate) trait Dispatch: Sync {
    /// Whether keys of different slots may be on different servers.
    fn is_cluster(&self) -> bool;

    /// Sends all requests, as many at once as a server may have. Returns one answer for each, in
    /// the same order.
    fn run(
        &self,
        call: Call,
        requests: Vec<Request>,
    ) -> impl Future<Output = Vec<Result<Answer, Failure>>> + Send;

    /// Sends all requests, and fails if any command of them does.
    fn run_all(
        &self,
        call: Call,
        requests: Vec<Request>,
    ) -> impl Future<Output = Result<Vec<Answer>>> + Send {
        async move {
            let answers = self.run(call, requests).await.into_iter();
            combine(answers.map(|answer| {
                let answer = answer.and_then(Answer::checked);
                answer.map_err(|failure| failure.into_error(call.operation))
            }))
        }
    }

    /// Sends a single request.
    fn run_one(&self, call: Call, request: Request) -> impl Future<Output = Result<Answer>> + Send {
        async move {
            let answers = self.run_all(call, vec![request]).await?;
            answers.into_iter().next().ok_or_else(|| Error::corrupt(call.operation, "no reply"))
        }
    }
}

impl Request {
    /// A read command.
    pub(crate) fn read(slot: u16, command: Cmd) -> Self {
        Self { slot, commands: vec![command], writes: false }
    }

    /// A transaction without a wait for replicas.
    pub(crate) fn transaction(slot: u16, commands: Vec<Cmd>) -> Self {
        Self { slot, commands, writes: false }
    }

    /// Write commands, with a wait for replicas if so configured. Several are a transaction.
    pub(crate) fn write(slot: u16, commands: Vec<Cmd>) -> Self {
        Self { slot, commands, writes: true }
    }

    /// The arguments of all commands, and their bytes on the wire.
    pub(crate) fn size(&self) -> Size {
        let mut size = Size::default();
        for argument in self.commands.iter().flat_map(Cmd::args_iter) {
            size.arguments += 1;
            if let Arg::Simple(argument) = argument {
                size.bytes += argument.len() + ARGUMENT_FRAME;
            }
        }
        size
    }

    /// The hash tag of its first key, or the whole key without one.
    pub(crate) fn tag(&self) -> String {
        let key = self.commands.iter().find_map(|command| match command.args_iter().nth(1) {
            Some(Arg::Simple(key)) => Some(String::from_utf8_lossy(key).into_owned()),
            _ => None,
        });
        let key = key.unwrap_or_default();
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or_else(|| key.clone(), |(tag, _)| tag.to_owned())
    }

    fn is_transaction(&self) -> bool {
        self.commands.len() > 1
    }

    /// The number of replies to the commands of [`append_to`](Self::append_to).
    pub(crate) fn replies(&self, asking: bool) -> usize {
        let transaction = if self.is_transaction() { 2 } else { 0 };
        self.commands.len() + transaction + usize::from(asking)
    }

    /// Appends the commands, inside `MULTI` and `EXEC` if there are several.
    pub(crate) fn append_to(&self, pipeline: &mut Pipeline, asking: bool) {
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

    /// Reads the replies to the commands of [`append_to`](Self::append_to).
    pub(crate) fn answer(&self, mut replies: Vec<Value>, server: u64) -> Result<Answer, Failure> {
        let last = replies.pop().ok_or(Failure::Malformed("fewer replies than commands"))?;
        if !self.is_transaction() {
            let value = last.extract_error().map_err(refusal)?;
            return Ok(Answer { values: vec![value], server });
        }
        match last {
            Value::Array(values) if values.len() == self.commands.len() => {
                Ok(Answer { values, server })
            }
            // A key that the connection watches has changed.
            Value::Nil => Err(Failure::Outrun),
            // Without the right to `MULTI` the commands ran one by one.
            Value::ServerError(error) if replies.iter().any(is_done) => {
                Err(Failure::PartlyApplied(cause(replies, error.into())))
            }
            Value::ServerError(error) => Err(refusal(cause(replies, error.into()))),
            _ => Err(Failure::Malformed("unexpected reply to EXEC")),
        }
    }
}

/// Whether a command was executed at once, neither queued nor refused.
fn is_done(reply: &Value) -> bool {
    match reply {
        Value::Okay | Value::ServerError(_) => false,
        Value::SimpleString(text) => text != "QUEUED",
        _ => true,
    }
}

/// The error of the first refused command, or else of `EXEC`.
fn cause(queued: Vec<Value>, discarded: RedisError) -> RedisError {
    queued.into_iter().find_map(|reply| reply.extract_error().err()).unwrap_or(discarded)
}
