//! Maintenance of shards, one after another.

use async_trait::async_trait;

use super::cursor::ShardCursor;
use super::{Shard, ShardedStore};
use crate::{AuditStep, Cursor, Maintenance, Operation, Result, RsvpStore};

impl<S: RsvpStore> ShardedStore<S> {
    /// The shard that a step is of, and where in it the step begins.
    fn audited(
        &self,
        operation: Operation,
        cursor: Option<&Cursor>,
    ) -> Result<Option<(&Shard<S>, Option<Cursor>)>> {
        let ShardCursor { shard: first, inner } =
            ShardCursor::parse(operation, &self.listing(operation, "").1, cursor)?;
        let shard = self.shards.iter().find(|shard| shard.hash >= first);
        if cursor.is_some() && shard.is_none_or(|shard| shard.hash != first) {
            return Err(Cursor::refused());
        }
        Ok(shard.map(|shard| (shard, inner)))
    }

    /// The step of a shard, with a cursor that goes on there or with the next shard.
    fn step(&self, operation: Operation, shard: &Shard<S>, step: AuditStep) -> AuditStep {
        let here = step.next.map(|inner| (shard.hash, Some(inner)));
        let following = || self.shards.iter().find(|next| next.hash > shard.hash);
        let next = here.or_else(|| following().map(|next| (next.hash, None)));
        let next = next.map(|(shard, inner)| {
            ShardCursor { shard, inner }.print(operation, &self.listing(operation, "").1)
        });
        AuditStep { next, ..step }
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
        let step = step.map_err(|error| error.in_shard(shard.name.clone()))?;
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
        let step = step.map_err(|error| error.in_shard(shard.name.clone()))?;
        Ok(self.step(Operation::Repair, shard, step))
    }
}
