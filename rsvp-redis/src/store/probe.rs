//! Asking every primary whether it accepts a write.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::backend::run_to_end;
use rsvp_core::{Effect, Error, Operation, PartHealth};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::RedisStore;
use super::admission::Permit;
use crate::data::ready;
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch};

/// How long `ready` waits for a node. Balancers give their probes about a second.
pub(super) const READY_WAIT: Duration = Duration::from_millis(500);

impl RedisStore {
    /// Asks each primary whether it accepts a write. Without an answer within the limit it is down.
    pub(super) fn probes(
        &self,
        permit: Permit,
        limit: Option<Duration>,
    ) -> Vec<BoxFuture<'static, PartHealth>> {
        let call = Call::unbounded(Operation::Ready);
        let limit = limit.unwrap_or(Duration::MAX);
        let topology = self.client().topology();
        let mut parts = Vec::new();
        if !topology.is_complete() {
            let store = self.clone();
            let part = async move {
                // A fresh topology may help the next call.
                let _ = timeout(limit, store.client().refresh_topology(call)).await;
                let error = Failure::NoOwner.into_error(call.operation);
                PartHealth::new("slots without an owner", Err(error))
            };
            parts.push(part.boxed());
        }
        let permit = Arc::new(permit);
        let probes = ready::probes(&topology, self.keys());
        let asked = probes.into_iter().map(|(node, request)| {
            let (store, permit) = (self.clone(), Arc::clone(&permit));
            let asked = run_to_end(call.operation, async move {
                let _permit = permit;
                let answers = store.client().run(call, vec![request]).await;
                let checked = answers.into_iter().map(|answer| answer.and_then(Answer::checked));
                let all: Result<Vec<_>, Failure> = checked.collect();
                all.map(drop).map_err(|failure| failure.into_error(call.operation))
            });
            async move {
                let late = |elapsed: Elapsed| {
                    let effect = Effect::NotApplied;
                    Err(Error::unavailable(call.operation, effect, Some(elapsed.into())))
                };
                PartHealth::new(
                    node.address.clone(),
                    timeout(limit, asked).await.unwrap_or_else(late),
                )
            }
            .boxed()
        });
        parts.extend(asked);
        parts
    }
}
