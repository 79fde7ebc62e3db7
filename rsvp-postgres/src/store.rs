//! The store: each call's work, and the server that it goes to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::backend::FoldedBatch;
use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};

use crate::admin::audit::{self, AuditReport};
use crate::admin::schema::{CurrentVersion, check_version, migrate};
use crate::config::PostgresConfig;
use crate::data::counts::{self, Counts};
use crate::data::list_page::{ListPage, page};
use crate::data::listing::Listing;
use crate::data::membership::Membership;
use crate::data::ready::Ready;
use crate::data::remove::{RemoveEvent, RemoveUser};
use crate::data::write::{WritePiece, combine_pieces, outcomes};
use crate::sql::Statements;
use crate::wire::commit::Commit;
use crate::wire::connector::Connector;
use crate::wire::pool::Pool;
use crate::wire::replicas::Replicas;
use crate::wire::work::Work;

/// Keeps RSVPs in Postgres.
///
/// An acknowledged write is committed, and as durable as the server's settings make it: with
/// `fsync` and `synchronous_commit` on, it survives `kill -9` and power loss. With a synchronous
/// standby it survives the loss of the primary. Counts are exact: they move in the statement that
/// changes the rows, by the number of rows that it changed.
///
/// A batch is one statement and one round trip for its RSVPs, and one for its cancels if it has
/// any, however long it is. With read replicas, one more round trip reads the LSN of the write. A
/// batch of 1,024 pairs or more is written in two to four pieces at once, each on a connection of
/// its own, if the pool has as many connections: the server works on a statement with one core.
///
/// Every call is bounded by the timeouts of its [`PostgresConfig`]. It runs on a task of its own,
/// so a write whose caller goes away is still finished. Clones are cheap and share the
/// connections.
///
/// # Replicas
///
/// [`Consistency::Strong`] stays on the primary. [`Consistency::Session`] goes to a replica that
/// has replayed the log up to the token's LSN, [`Consistency::Bounded`] to one that is known to be
/// within the bound, [`Consistency::Eventual`] to any. All go to the primary if no replica will do.
/// To know the lag of the replicas, the store asks the primary for its LSN, a few times a second at
/// most and only while there are bounded reads.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: PostgresConfig,
    primary: Pool,
    replicas: Replicas,
}

impl PostgresStore {
    /// Connects to the primary and checks its tables.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) with the field of the setting that
    /// is wrong, or with the field `schema` if the tables are missing or of another version;
    /// [`Error::Unavailable`](rsvp_core::Error::Unavailable) if no host accepts writes; otherwise
    /// the error that the server reports.
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        config.check()?;
        if config.migrate {
            migrate(&config).await?;
        }
        let schema = config.schema_name()?;
        let sql = Arc::new(Statements::new(&schema));
        let primary = Pool::new(Connector::primary(&config), &config, &sql)?;
        let version = primary.run(CurrentVersion).await?;
        check_version(&schema, version)?;
        let replicas = Replicas::new(&config, &sql)?;
        Ok(Self { inner: Arc::new(Inner { config, primary, replicas }) })
    }

    /// The configuration that the store was opened with.
    pub fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// The number of open connections to the primary, and the number of idle ones among them.
    pub fn connections(&self) -> (usize, usize) {
        self.inner.primary.connections()
    }

    /// Compares every event's count with its rows.
    ///
    /// Reads everything once, in steps of 100 events on a connection of its own, while the store
    /// is in use. Each step sees one snapshot, in which rows and counts agree. The statements of
    /// this library never make a difference, but other programs may change the tables.
    ///
    /// # Errors
    ///
    /// The error that the server reports, and
    /// [`Error::TimedOut`](rsvp_core::Error::TimedOut) if a step takes longer than ten minutes.
    pub async fn audit(&self) -> Result<AuditReport> {
        audit::audit(&self.inner.config).await
    }

    /// Audits, and corrects every count that differs; reports the differences.
    ///
    /// Works under load: the missing number is added to the count, so that concurrent writes are
    /// kept. Repairs of several instances wait for each other.
    ///
    /// # Errors
    ///
    /// As [`audit`](Self::audit).
    pub async fn repair(&self) -> Result<AuditReport> {
        audit::audit_and_repair(&self.inner.config).await
    }

    /// Reads from a server that is as fresh as `consistency` asks: a replica if one is, otherwise
    /// the primary. With the answer comes its greatest possible age.
    async fn read<W: Work>(
        &self,
        work: W,
        consistency: &Consistency,
    ) -> Result<(W::Answer, Duration)> {
        let Inner { primary, replicas, .. } = &*self.inner;
        if let Some(read) = replicas.read(primary, &work, consistency).await {
            return Ok(read);
        }
        Ok((primary.run(work).await?, Duration::ZERO))
    }

    /// Changes something on the primary. With the answer comes the token of the change.
    async fn write<W: Work>(&self, work: W) -> Result<(W::Answer, SessionToken)> {
        let asks_lsn = !self.inner.replicas.is_empty();
        self.inner.primary.run(Commit { work, asks_lsn }).await
    }

    async fn list<L: Listing>(
        &self,
        work: ListPage<L>,
        request: &PageRequest,
    ) -> Result<Page<L::Item>> {
        let (rows, _) = self.read(work, &request.consistency).await?;
        page::<L>(request.limit, rows)
    }

    async fn remove(&self, work: impl Work<Answer = u64>, limit: PageLimit) -> Result<RemovalStep> {
        let (removed, token) = self.write(work).await?;
        Ok(RemovalStep { removed, more: removed >= limit.get() as u64, token })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { config, primary, replicas } = &*self.inner;
        f.debug_struct("PostgresStore")
            .field("config", config)
            .field("primary", primary)
            .field("replicas", replicas)
            .finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for PostgresStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        let batch = Arc::new(FoldedBatch::new(writes));
        let pieces = WritePiece::divide(&batch, self.inner.config.pool_size);
        let written = join_all(pieces.map(|piece| self.write(piece))).await;
        let (changed, token) = combine_pieces(written)?;
        Ok(BatchReceipt { outcomes: outcomes(&batch, &changed), token })
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        consistency: &Consistency,
    ) -> Result<Vec<bool>> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let (answers, _) = self.read(Membership::new(pairs), consistency).await?;
        Ok(answers)
    }

    async fn rsvp_counts(
        &self,
        events: &[EventId],
        consistency: &Consistency,
    ) -> Result<Vec<Count>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let (counts, age) = self.read(Counts::new(events), consistency).await?;
        counts::aged(counts, age)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.list(ListPage::of_event(event, request)?, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.list(ListPage::of_user(user, request)?, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.list(ListPage::of_everything(request)?, request).await
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        self.remove(RemoveEvent { event: event.clone(), limit }, limit).await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        self.remove(RemoveUser { user: user.clone(), limit }, limit).await
    }

    async fn ready(&self) -> Result<()> {
        self.inner.primary.run(Ready).await
    }
}
