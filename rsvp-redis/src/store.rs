//! The store: one method for each call, and administration.

use std::fmt;
use std::sync::Arc;

use rsvp_core::backend::{FoldedBatch, run_to_end};
use rsvp_core::{
    BatchReceipt, Consistency, Count, Cursor, Error, EventId, Operation, Page, PageLimit,
    PageRequest, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin::audit::{self, AuditReport, AuditStep, Pass};
use crate::admin::durability::{self, Durability};
use crate::admin::{layout, repair};
use crate::config::RedisConfig;
use crate::data::cursor::tag;
use crate::data::keys::{Keys, Kind};
use crate::data::scan_all::{KeyspaceScan, Progress};
use crate::data::{counts, listing, membership, ready, remove, user_index, write};
use crate::wire::client::ClusterClient;
use crate::wire::failure::Failure;
use crate::wire::request::Dispatch;

/// Keeps RSVPs in Redis, on one server or in a cluster.
///
/// The server decides how durable an acknowledged write is: see the table in the
/// [crate's documentation](crate), and [`durability`](Self::durability). Counts are exact: they
/// are the sizes of the sets that are the truth.
///
/// A batch costs one round trip on a single server, and three in a cluster (the events, the users,
/// and a second look at the events), however long it is. Membership and counts cost one. All calls
/// share a few connections. Dropping a call leaves a write to finish.
///
/// Every wait is bounded by the timeouts of its [`RedisConfig`]. Cloning is cheap and shares the
/// connections.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: ClusterClient,
    keys: Keys,
    in_flight: Arc<Semaphore>,
    durability: Durability,
}

impl RedisStore {
    /// Connects, checks that the keys have this layout, and logs a warning if a server keeps
    /// nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the name of a setting that is out of range, with the field
    ///   `event_spread` if the data was written with another number, or with the field `tls_ca` if
    ///   that file cannot be read.
    /// - [`Error::Unavailable`] if no primary can be reached.
    /// - [`Error::Backend`] if the credentials are wrong, if the URL is for the other kind of
    ///   server, or if the server refuses a command.
    pub async fn open(config: RedisConfig) -> Result<Self> {
        config.check()?;
        #[cfg(feature = "tls")]
        crate::wire::tls::check(config.tls_ca.as_deref())?;
        let keys = Keys::new(&config.prefix, config.event_spread);
        let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
        let client = ClusterClient::open(Arc::new(config)).await?;
        layout::check(&client, &keys).await?;
        let durability = durability::check(&client.topology()).await;
        Ok(Self { inner: Arc::new(Inner { client, keys, in_flight, durability }) })
    }

    /// The configuration of the store.
    pub fn config(&self) -> &RedisConfig {
        self.client().config()
    }

    /// The share of acknowledged writes that the servers had on disk when the store was opened.
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// Compares every RSVP with its user's list, in both directions, and changes nothing.
    ///
    /// Works under load. On a single server it counts only real differences. In a cluster it may
    /// also count a write that is under way. It costs a few round trips for each 1,000 entries.
    /// [`audit_step`](Self::audit_step) leaves the pace to the caller.
    ///
    /// Lists can differ for these reasons:
    ///
    /// - a write to a cluster failed with unknown effect and was not repeated;
    /// - a process died in the middle of a write to a cluster;
    /// - a failover lost writes;
    /// - something other than this library has changed the keys.
    ///
    /// # Errors
    ///
    /// Those of the reads that it consists of. It may be repeated.
    pub async fn audit(&self) -> Result<AuditReport> {
        let (mut report, mut cursor) = (AuditReport::default(), None);
        loop {
            let step = self.audit_step(cursor.as_ref(), PageLimit::default()).await?;
            report.add(&step);
            cursor = step.next;
            if cursor.is_none() {
                return Ok(report);
            }
        }
    }

    /// One step of [`audit`](Self::audit), over at most `limit` entries: first of the events, for
    /// missing entries, then of the users, for entries that are left over.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `cursor` if neither this method nor
    /// [`repair_step`](Self::repair_step) has returned the cursor. Otherwise as
    /// [`audit`](Self::audit).
    pub async fn audit_step(&self, cursor: Option<&Cursor>, limit: PageLimit) -> Result<AuditStep> {
        let _permit = self.permit(Operation::Audit)?;
        let (step, _) = self.compare(Operation::Audit, cursor, limit).await?;
        Ok(step)
    }

    /// Audits, mends every list that differs, and reports the differences.
    ///
    /// Works under load. On a single server it counts and changes only real differences. In a
    /// cluster it may also count a write that is under way, which does no harm. It costs a few
    /// round trips for each 1,000 entries. [`repair_step`](Self::repair_step) leaves the pace to
    /// the caller.
    ///
    /// # Errors
    ///
    /// Those of the reads and writes that it consists of. It may be repeated.
    pub async fn repair(&self) -> Result<AuditReport> {
        let (mut report, mut cursor) = (AuditReport::default(), None);
        loop {
            let step = self.repair_step(cursor.as_ref(), PageLimit::default()).await?;
            report.add(&step);
            cursor = step.next;
            if cursor.is_none() {
                return Ok(report);
            }
        }
    }

    /// One step of [`repair`](Self::repair), over at most `limit` entries: first of the events, for
    /// missing entries, then of the users, for entries that are left over.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `cursor` if neither this method nor
    /// [`audit_step`](Self::audit_step) has returned the cursor. Otherwise as
    /// [`repair`](Self::repair).
    pub async fn repair_step(
        &self,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<AuditStep> {
        let operation = Operation::Repair;
        let _permit = self.permit(operation)?;
        let (step, corrections) = self.compare(operation, cursor, limit).await?;
        if !corrections.is_empty() {
            let store = self.clone();
            run_to_end(operation, async move {
                let (client, keys) = (store.client(), store.keys());
                user_index::sync(client, keys, operation, corrections).await
            })
            .await?;
        }
        Ok(step)
    }

    /// Compares the next entries of an audit. Returns the result and the corrections that are due.
    async fn compare(
        &self,
        operation: Operation,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<(AuditStep, Vec<Write>)> {
        let pass = Pass::read(cursor)?;
        let (client, keys) = (self.client(), self.keys());
        let topology = client.complete_topology(operation).await?;
        let (step, candidates) =
            audit::examine(client, &topology, keys, operation, (pass, limit)).await?;
        let corrections = repair::corrections(client, keys, operation, candidates).await?;
        Ok((step.with_corrections(&corrections), corrections))
    }

    fn client(&self) -> &ClusterClient {
        &self.inner.client
    }

    fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// A place among the calls that may be under way.
    fn permit(&self, operation: Operation) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.inner.in_flight).try_acquire_owned();
        permit.map_err(|_| Error::overloaded(operation))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", self.config())
            .field("client", self.client())
            .field("durability", &self.inner.durability)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for RedisStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        let operation = Operation::Write;
        let permit = self.permit(operation)?;
        let (store, batch) = (self.clone(), FoldedBatch::new(writes));
        run_to_end(operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            let changed = write::apply(client, keys, operation, batch.finals()).await?;
            // The outcomes are asked for in the order of the final writes.
            let mut changed = changed.into_iter();
            let outcomes = batch.outcomes(|_| changed.next().unwrap_or(false));
            Ok(BatchReceipt { outcomes, token: SessionToken::new() })
        })
        .await
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        let _permit = self.permit(Operation::HasRsvped)?;
        let (client, keys) = (self.client(), self.keys());
        membership::read(client, keys, Operation::HasRsvped, pairs).await
    }

    async fn rsvp_counts(&self, events: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        let _permit = self.permit(Operation::RsvpCounts)?;
        let (client, keys) = (self.client(), self.keys());
        counts::counts(client, keys, Operation::RsvpCounts, events).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let _permit = self.permit(Operation::Attendees)?;
        let (client, keys) = (self.client(), self.keys());
        listing::attendees(client, keys, event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let _permit = self.permit(Operation::EventsOf)?;
        let (client, keys) = (self.client(), self.keys());
        listing::events_of(client, keys, user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let operation = Operation::Scan;
        let _permit = self.permit(operation)?;
        let progress = Progress::read(tag::SCAN, request.cursor.as_ref())?;
        let (servers, keys) = (self.client(), self.keys());
        let topology = &*servers.complete_topology(operation).await?;
        let (kind, tag) = (Kind::Event, tag::SCAN);
        let scan = KeyspaceScan { servers, topology, keys, operation, kind, tag };
        let (items, next) = scan.page(progress, request.limit.get()).await?;
        Ok(Page { items, next })
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        let operation = Operation::RemoveEvent;
        let permit = self.permit(operation)?;
        let (store, event) = (self.clone(), event.clone());
        run_to_end(operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            let found = remove::find_of_event(client, keys, &event, limit.get()).await?;
            let changed = write::cancel_attendees(client, keys, operation, &found.cancels).await?;
            Ok(found.step(&changed))
        })
        .await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let operation = Operation::RemoveUser;
        let permit = self.permit(operation)?;
        let (store, user) = (self.clone(), user.clone());
        run_to_end(operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            let found = remove::find_of_user(client, keys, &user, limit.get()).await?;
            // The events' sets change before the index that leads to them, so that a removal which
            // stopped can be taken up again.
            let batch = FoldedBatch::new(&found.cancels);
            let changed = write::apply(client, keys, operation, batch.finals()).await?;
            Ok(found.step(&changed))
        })
        .await
    }

    /// Succeeds if every primary accepts a write, and every slot of a cluster has an owner.
    async fn ready(&self) -> Result<()> {
        let operation = Operation::Ready;
        let permit = self.permit(operation)?;
        let client = self.client();
        let Some(requests) = ready::probes(&client.topology(), self.keys()) else {
            // A fresh topology may help the next call.
            let _ = client.refresh_topology(operation).await;
            return Err(Failure::NoOwner.into_error(operation));
        };
        let store = self.clone();
        run_to_end(operation, async move {
            let _permit = permit;
            store.client().run_all(operation, requests).await.map(drop)
        })
        .await
    }
}
