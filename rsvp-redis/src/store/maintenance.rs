//! Maintenance of the store: audit and repair of the user index, one bounded step at a time.

use rsvp_core::backend::{combine_errors, run_to_end};
use rsvp_core::{
    AuditStep, Cursor, Finding, FindingKind, Maintenance, Operation, Result, Write, async_trait,
};

use super::{RedisStore, before_any_write};
use crate::admin::audit::{self, Pass};
use crate::admin::repair;
use crate::data::user_index;
use crate::wire::call::Call;

/// Compares every RSVP with its user's list, in both directions: first the events, for entries that
/// are missing, then the users, for entries that are left over.
///
/// Works under load. On a single server it finds and changes only real differences. In a cluster it
/// may also find a write that is under way, which does no harm. A step costs a few round trips and
/// compares up to [`audit_step`](crate::RedisConfig::with_audit_step) entries.
#[async_trait]
impl Maintenance for RedisStore {
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        let call = Call::unbounded(Operation::Audit);
        let _permit = self.admit(call)?;
        Ok(self.compare(call, cursor).await?.0)
    }

    async fn repair_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        let call = Call::unbounded(Operation::Repair);
        let permit = self.admit(call)?;
        let (store, cursor) = (self.clone(), cursor.cloned());
        run_to_end(call.operation, async move {
            let _permit = permit;
            let (step, corrections) =
                store.compare(call, cursor.as_ref()).await.map_err(before_any_write)?;
            let failures = user_index::sync(store.client(), store.keys(), call, corrections).await;
            let errors = failures.into_iter().flatten();
            let errors = errors.map(|failure| failure.into_error(call.operation));
            combine_errors(errors, true).map_or(Ok(step), Err)
        })
        .await
    }
}

impl RedisStore {
    /// Compares the next entries. Returns the step, and the corrections that are due.
    async fn compare(
        &self,
        call: Call,
        cursor: Option<&Cursor>,
    ) -> Result<(AuditStep, Vec<Write>)> {
        let pass = Pass::of(cursor);
        let (client, keys) = (self.client(), self.keys());
        let limit = self.config().audit_step;
        let (checked, candidates, next) = audit::examine(client, keys, call, pass, limit).await?;
        let corrections = repair::corrections(client, keys, call, candidates).await?;
        let findings = corrections.iter().map(finding).collect();
        Ok((AuditStep::new(checked, findings, next), corrections))
    }
}

/// The difference that a correction mends.
fn finding(correction: &Write) -> Finding {
    let kind = match correction.action {
        rsvp_core::Action::Rsvp => FindingKind::Missing,
        rsvp_core::Action::Cancel => FindingKind::LeftOver,
    };
    let pair = correction.rsvp.clone();
    Finding::new(kind, pair.event, Some(pair.user))
}
