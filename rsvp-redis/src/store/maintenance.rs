//! Maintenance of the store, the audit and repair of the user index in bounded steps.

use rsvp_core::backend::{combine_errors, run_to_end};
use rsvp_core::{
    AuditStep, Cursor, Finding, FindingKind, Maintenance, Operation, Result, Write, async_trait,
};

use super::{RedisStore, before_any_write};
use crate::admin::audit::{self, Pass};
use crate::admin::repair;
use crate::data::user_index;
use crate::wire::call_deadline::Call;

/// Compares every RSVP with its user's list, in both directions. It goes over the events to find
/// missing entries, then over the users to find left-over ones.
///
/// Works under load. On a single server it finds and changes only real differences. In a cluster it
/// may also find a running write, without any harm. A step costs a few round trips and
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
    /// Compares the next entries. Returns the step, and the corrections to make.
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

/// The difference behind a correction.
fn finding(correction: &Write) -> Finding {
    let kind = match correction.action {
        rsvp_core::Action::Rsvp => FindingKind::Missing,
        rsvp_core::Action::Cancel => FindingKind::LeftOver,
    };
    let pair = correction.rsvp.clone();
    Finding::new(kind, pair.event, Some(pair.user))
}
