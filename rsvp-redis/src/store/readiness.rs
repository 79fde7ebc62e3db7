//! The parts of a store, and whether each accepts a write.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::backend::run_to_end;
use rsvp_core::{Operation, PartHealth, Result};

use super::RedisStore;
use crate::data::ready;
use crate::wire::call::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch};

impl RedisStore {
    /// Asks each primary to take a write, all at once. A part answers as soon as its primary does.
    ///
    /// # Errors
    ///
    /// Of a store that is closed, or that has too many calls under way.
    pub(super) fn probe_parts(&self) -> Result<Vec<BoxFuture<'static, PartHealth>>> {
        let call = Call::unbounded(Operation::Ready);
        let permit = Arc::new(self.admit(call)?);
        let topology = self.client().topology();
        let mut parts = Vec::new();
        // 1. Slots without an owner are a part that is down. A fresh topology may help the next call.
        if !topology.is_complete() {
            let (store, permit) = (self.clone(), Arc::clone(&permit));
            let refreshed = async move {
                let _permit = permit;
                let _ = store.client().refresh_topology(call).await;
                Ok(())
            };
            let part = async move {
                let _ = run_to_end(call.operation, refreshed).await;
                let error = Failure::NoOwner.into_error(call.operation);
                PartHealth::new("slots without an owner", Err(error))
            };
            parts.push(part.boxed());
        }
        // 2. The primaries, each by its address.
        for (node, request) in ready::probes(&topology, self.keys()) {
            let (store, permit) = (self.clone(), Arc::clone(&permit));
            let probe = async move {
                let _permit = permit;
                Ok(store.client().run(call, vec![request]).await.pop())
            };
            let part = async move {
                let failed = |failure: Failure| failure.into_error(call.operation);
                let ready = match run_to_end(call.operation, probe).await {
                    Ok(Some(answer)) => answer.and_then(Answer::checked).map(drop).map_err(failed),
                    Ok(None) => Err(failed(Failure::NoOwner)),
                    Err(error) => Err(error),
                };
                PartHealth::new(node.address.clone(), ready)
            };
            parts.push(part.boxed());
        }
        Ok(parts)
    }
}
