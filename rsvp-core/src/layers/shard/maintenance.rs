//! Maintenance of shards, one after another.

use async_trait::async_trait;

use super::cursor::Position;
use super::{Shard, ShardedStore};
use crate::{AuditStep, Cursor, Maintenance, Operation, Result, RsvpStore};

impl<S: RsvpStore> ShardedStore<S> {
    /// The shard that a step is of, and where in it the step begins.
    fn audited(
        &self,
        operation: Operation,
        cursor: Option<&Cursor>,
    ) -> Result<Option<(&Shard<S>, Option<Cursor>)>> {
        let (operation, subject) = self.listing(operation, "");
        let Position { begun, mut open } = Position::parse(operation, &subject, cursor)?;
        let Some((hash, inner)) = open.pop() else {
            let next = self.shards.iter().find(|shard| begun.is_none_or(|hash| shard.hash > hash));
            return Ok(next.map(|shard| (shard, None)));
        };
        // A step opens one shard.
        match self.shards.iter().find(|shard| shard.hash == hash) {
            Some(shard) if open.is_empty() => Ok(Some((shard, Some(inner)))),
            _ => Err(Cursor::refused()),
        }
    }

    /// The step of a shard, with a cursor that goes on there or with the next shard.
    fn step(&self, operation: Operation, shard: &Shard<S>, step: AuditStep) -> AuditStep {
        let (operation, subject) = self.listing(operation, "");
        let open: Vec<_> = step.next.into_iter().map(|inner| (shard.hash, inner)).collect();
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
