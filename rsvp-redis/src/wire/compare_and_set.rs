//! Compare and set, replacing the value of a key if it is the expected one.
//!
//! `WATCH` belongs to a connection, so the read and the transaction go on a connection without
//! other calls. Scripts would need more rights than the rest of the store.

use redis::{Pipeline, Value, cmd};
use rsvp_core::{Effect, Result};

use crate::wire::call_deadline::Call;
use crate::wire::client::{ClusterClient, MAX_REDIRECTIONS};
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::node::Node;
use crate::wire::redirect::{Redirect, Redirects, Refused};
use crate::wire::request::Request;

/// The most rounds. A round fails if another writer comes between the read and the transaction.
const MAX_ROUNDS: usize = 32;

/// A key to set, if it holds the expected value. `None` expects no such key.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    pub(crate) slot: u16,
    pub(crate) key: String,
    pub(crate) expected: Option<String>,
    pub(crate) value: String,
}

impl ClusterClient {
    /// Replaces the value of a key. Returns the value as it was before.
    pub(crate) async fn compare_and_set(
        &self,
        call: Call,
        replacement: &Replacement,
    ) -> Result<Option<Vec<u8>>> {
        let mut redirects = Redirects::new();
        let mut attempt = 0;
        loop {
            let topology = self.topology();
            let owner = topology.owner_of(replacement.slot).cloned();
            let owner = owner.map(|node| Redirect { node, asking: false });
            let (failure, effect) = match redirects.get(&replacement.slot).cloned().or(owner) {
                None => unsent(Failure::NoOwner),
                Some(to) => match to.node.compare_and_set(call, replacement, to.asking).await {
                    Ok(before) => return Ok(before),
                    Err(failed) => failed,
                },
            };
            if !failure.is_reroutable() || attempt == MAX_REDIRECTIONS || call.is_late() {
                return Err(failure.into_error(call.operation).with_effect(effect));
            }
            // A redirect or a new owner is found as for any request.
            let request = Request::read(replacement.slot, replacement.get());
            let refused = [Refused { index: 0, request, failure }];
            redirects = self.prepare_next_attempt(call, &refused, &topology, attempt).await;
            attempt += 1;
        }
    }
}

impl Node {
    async fn compare_and_set(
        &self,
        call: Call,
        replacement: &Replacement,
        asking: bool,
    ) -> Result<Option<Vec<u8>>, (Failure, Effect)> {
        for _ in 0..MAX_ROUNDS {
            let connection = self.exclusive(call).await.map_err(unsent)?;
            // Step 1: watch the key, then read it.
            let before = self.watch(&connection, call, replacement, asking).await;
            let before = before.inspect_err(|_| connection.close()).map_err(unsent)?;
            if before.as_deref() != replacement.expected.as_deref().map(str::as_bytes) {
                self.unwatch(&connection, call).await;
                return Ok(before);
            }
            // Step 2: set it, unless it has changed since.
            let set = Request::write(replacement.slot, vec![replacement.set(), replacement.get()]);
            // If nothing was sent, the connection still watches. It must not go back to the pool.
            let answers = self.send_on(&connection, call, &[set], asking).await;
            let mut answers = answers.inspect_err(|_| connection.close()).map_err(sent)?;
            match answers.pop().unwrap_or(Err(Failure::Malformed("no reply to EXEC"))) {
                Err(Failure::Outrun) => {}
                Ok(answer) => return answer.checked().map(|_| before).map_err(sent),
                Err(failure) => {
                    connection.close();
                    return Err(sent(failure));
                }
            }
        }
        Err(unsent(Failure::Outrun))
    }

    async fn watch(
        &self,
        connection: &Connection,
        call: Call,
        replacement: &Replacement,
        asking: bool,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let watch = cmd("WATCH").arg(&replacement.key).to_owned();
        let requests = [watch, replacement.get()].map(|one| Request::read(replacement.slot, one));
        let answers = self.send_on(connection, call, &requests, asking).await?;
        let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
        match answers.into_iter().nth(1).and_then(|answer| answer.into_value()) {
            Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(value)) => Ok(Some(value)),
            _ => Err(Failure::Malformed("unexpected reply to GET")),
        }
    }

    /// Frees a connection for other calls. A key still watched would fail their transactions.
    async fn unwatch(&self, connection: &Connection, call: Call) {
        let mut unwatch = Pipeline::new();
        unwatch.cmd("UNWATCH");
        let freed = match call.reply_timeout(self.config.response_timeout, false) {
            Ok(reply_timeout) => connection.send(unwatch, reply_timeout).await.map(drop),
            Err(late) => Err(late),
        };
        if freed.is_err() {
            connection.close();
        }
    }
}

/// A failure before the value was sent.
fn unsent(failure: Failure) -> (Failure, Effect) {
    (failure, Effect::NotApplied)
}

/// A failure of the transaction with the new value.
fn sent(failure: Failure) -> (Failure, Effect) {
    let effect = failure.effect();
    (failure, effect)
}

impl Replacement {
    fn get(&self) -> redis::Cmd {
        cmd("GET").arg(&self.key).to_owned()
    }

    fn set(&self) -> redis::Cmd {
        cmd("SET").arg(&self.key).arg(&self.value).to_owned()
    }
}
