//! Maintenance of shards, one after another.

use async_trait::async_trait;

use super::cursor::Position;
use super::{Shard, ShardedStore};
use crate::{AuditStep, Cursor, Maintenance, Operation, Result, RsvpStore};

impl<S: RsvpStore> ShardedStore<S> {
    /// Returns the shard of a step, and the position of the step in it.
    fn audited(
        &self,
        operation: Operation,
        cursor: Option<&Cursor>,
    ) -> Result<Option<(&Shard<S>, Option<Cursor>)>> {
        let (operation, subject) = self.listing(operation, "");
        let Position { begun, mut open } = Position::parse(operation, &subject, cursor)?;
        // 1. Without an open shard the step begins the next one.
        let Some((hash, inner)) = open.pop() else {
            let next = self.shards.iter().find(|shard| begun.is_none_or(|hash| shard.hash > hash));
            return Ok(next.map(|shard| (shard, None)));
        };
        // 2. Otherwise it goes on in the open shard. There is one at most.
        match self.shards.iter().find(|shard| shard.hash == hash) {
            Some(shard) if open.is_empty() => Ok(Some((shard, Some(inner)))),
            _ => Err(Cursor::refused()),
        }
    }

    /// Returns the step of a shard, with a cursor for the rest of it or for the next shard.
    fn step(&self, operation: Operation, shard: &Shard<S>, step: AuditStep) -> AuditStep {
        let (operation, subject) = self.listing(operation, "");
        let open: Vec<_> = step.next.into_iter().map(|inner| (shard.hash, inner)).collect();
        // The last step of the last shard ends the audit.
        let is_last = open.is_empty() && !self.shards.iter().any(|next| next.hash > shard.hash);
        let position = Position { begun: Some(shard.hash), open };
        AuditStep { next: (!is_last).then(|| position.print(operation, &subject)), ..step }
    }
}

#[async_trait]
impl<S: RsvpStore> Maintenance for ShardedStore<S> {
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        let Some((shard, inner)) = self.audited(Operation::Audit, cursor)? else {
            return Ok(AuditStep::default());
        };
        let step = match shard.store.maintenance() {
            Some(shard) => shard.audit_step(inner.as_ref()).await,
            None => Ok(AuditStep::default()),
        };
        let step = step.map_err(|error| shard.named(error))?;
        Ok(self.step(Operation::Audit, shard, step))
    }

    async fn repair_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        let Some((shard, inner)) = self.audited(Operation::Repair, cursor)? else {
            return Ok(AuditStep::default());
        };
        let step = match shard.store.maintenance() {
            Some(shard) => shard.repair_step(inner.as_ref()).await,
            None => Ok(AuditStep::default()),
        };
        let step = step.map_err(|error| shard.named(error))?;
        Ok(self.step(Operation::Repair, shard, step))
    }
}
