//! The store: each call's work, and the server that it goes to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join3};
use rsvp_core::backend::{FoldedBatch, stored_id};
use rsvp_core::{
    BatchReceipt, Count, EventId, Label, LabelName, Maintenance, Operation, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write,
    WriteOptions, async_trait,
};

use crate::admin::audit::Auditor;
use crate::admin::schema::{CurrentVersion, check_version, migrate};
use crate::config::PostgresConfig;
use crate::data::batch::{Batch, run_all};
use crate::data::counts::{Counts, aged};
use crate::data::label::{ReadLabel, ReplaceLabel};
use crate::data::list_page::ListPage;
use crate::data::listing::Listing;
use crate::data::locked::LockedEvents;
use crate::data::membership::Membership;
use crate::data::ready::Ready;
use crate::data::removal_keys::RemovalKeys;
use crate::data::remove::{RemoveEvent, RemoveUser};
use crate::data::write::{Sent, Writes, receipt};
use crate::sql::Statements;
use crate::wire::commit::Commit;
use crate::wire::connector::Connector;
use crate::wire::failure::unsettled;
use crate::wire::gate::Entered;
use crate::wire::pool::Pool;
use crate::wire::replicas::Replicas;
use crate::wire::work::Work;

/// Keeps RSVPs in Postgres.
///
/// An acknowledged write is committed, and as durable as the server's settings make it: with
/// `fsync` and `synchronous_commit` on, it survives `kill -9` and power loss. With a synchronous
/// standby it survives the loss of the primary; a write that repeats an earlier attempt is
/// acknowledged only when the standby has that one, too. Counts are exact: they move in the statement that
/// changes the rows, by the number of rows that it changed.
///
/// A batch is one statement and one round trip for its RSVPs, and one for its cancels if it has
/// any. With read replicas, one more round trip reads the LSN of the write. Of 1,024 pairs or more
/// it is written in two to four statements at once, each on a connection of its own, if the pool has
/// as many connections: the server works on a statement with one core. A statement has at most 4,096
/// pairs, so a larger batch has more statements, up to four at once. Each statement succeeds or
/// fails on its own. One that the server refuses for what is in it, such as a character that the
/// database's encoding lacks, is divided until the culprit is alone. A batch of cancels after which
/// nobody comes to some event costs one more round trip, which drops the event's count.
///
/// # Locks
///
/// A write waits for the locks of other sessions for at most the
/// [`lock_timeout`](PostgresConfig::with_lock_timeout), and then fails as
/// [`TimedOut`](rsvp_core::Error::TimedOut), without any effect. Only the writes of the locked event
/// fail. Until one of them succeeds, they are tried one at a time, on one connection. A fifth of the
/// connections is left to reads, so calls that change something wait for each other and not reads
/// for them; those that find no place within the `acquire_timeout` are refused as
/// [`Overloaded`](rsvp_core::Error::Overloaded).
///
/// Clones are cheap and share the connections.
///
/// # Time
///
/// Every call is bounded by the timeouts of its [`PostgresConfig`], and by its deadline. It runs on a
/// task of its own, so a write whose caller goes away is still finished. The last third of a
/// call's time, and at most a second, is kept for stopping it:
///
/// 1. The server is asked to cancel the statement, on a connection beside the pool. Its answer is
///    final.
/// 2. If the server does not answer, the connection is closed and the server's process is told to
///    end. When it is gone, or can change nothing any more, the effect of a write is
///    [`Unknown`](rsvp_core::Effect::Unknown).
/// 3. If that cannot be seen either, the effect is [`Pending`](rsvp_core::Effect::Pending). Later
///    writes of the same events fail as [`Unavailable`](rsvp_core::Error::Unavailable), without any
///    effect, until the write is settled. Other events and reads go on.
///
/// A write carries the time of the server until which it may begin, so that a process which was
/// stopped does nothing when it reads the write late. A connection reads the server's clock when it
/// is opened, and once a minute. A clock that somebody sets back afterwards lets a late write begin
/// later by so much, until it is read again. A clock that is set forward is read again when it
/// refuses a write that is in time.
///
/// # Replicas
///
/// [`Strong`](rsvp_core::Consistency::Strong) reads stay on the primary. A
/// [`Session`](rsvp_core::Consistency::Session) read goes to a replica that has replayed the log up
/// to the token's LSN, a [`Bounded`](rsvp_core::Consistency::Bounded) read to one that is known to be
/// within the bound, an [`Eventual`](rsvp_core::Consistency::Eventual) read to any. All go to the
/// primary if no replica will do.
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
    auditor: Auditor,
    locked: LockedEvents,
    removal_keys: RemovalKeys,
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
        let primary = Pool::new(Connector::primary(&config), (&config).into(), &sql)?;
        let version = primary.run(CurrentVersion, None).await?;
        check_version(&schema, version)?;
        let replicas = Replicas::new(&config, &sql)?;
        let auditor = Auditor::new(&config, &sql)?;
        let (locked, removal_keys) = Default::default();
        let inner = Inner { config, primary, replicas, auditor, locked, removal_keys };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The configuration that the store was opened with.
    pub fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// The number of open connections to the primary, and the number of idle ones among them.
    pub fn connections(&self) -> (usize, usize) {
        self.inner.primary.connections()
    }

    /// Reads from a server that is as fresh as `options` ask: a replica if one is, otherwise the
    /// primary. With the answer comes its greatest possible age.
    async fn read<W: Work>(&self, work: W, options: &ReadOptions) -> Result<(W::Answer, Duration)> {
        let call = self.inner.primary.enter(work.operation(), options.deadline)?;
        self.read_within(&call, work, options).await
    }

    /// Reads, as [`read`](Self::read), for a call that may read more.
    async fn read_within<W: Work>(
        &self,
        call: &Entered,
        work: W,
        options: &ReadOptions,
    ) -> Result<(W::Answer, Duration)> {
        let Inner { primary, replicas, .. } = &*self.inner;
        if let Some(read) = replicas.read(primary, &work, options).await {
            return Ok(read);
        }
        Ok((primary.run_within(call, work, options.deadline).await?, Duration::ZERO))
    }

    /// Changes something on the primary. With the answer comes the token of the change.
    async fn write_within<W: Work>(
        &self,
        call: &Entered,
        work: W,
        options: &WriteOptions,
    ) -> Result<(W::Answer, SessionToken)> {
        let asks_lsn = !self.inner.replicas.is_empty();
        self.inner.primary.run_within(call, Commit { work, asks_lsn }, options.deadline).await
    }

    /// Changes something, as [`write_within`](Self::write_within), unless it meets a change that is
    /// not settled, and is not soon.
    async fn write_settled<W: Work>(
        &self,
        work: W,
        options: &WriteOptions,
    ) -> Result<(W::Answer, SessionToken)> {
        let primary = &self.inner.primary;
        let call = primary.enter(work.operation(), options.deadline)?;
        // Most often there is none, and nothing is to be compared.
        if !primary.unsettled().is_empty() {
            let footprint = work.footprint();
            primary.settling(|earlier| earlier.meets(&footprint), options.deadline).await;
            if primary.unsettled().iter().any(|earlier| earlier.meets(&footprint)) {
                return Err(unsettled(work.operation()));
            }
        }
        self.write_within(&call, work, options).await
    }

    /// Writes those final writes of a batch that `may_write` lets through, each statement with an
    /// answer of its own.
    async fn write_all(
        &self,
        call: &Entered,
        batch: &Arc<FoldedBatch>,
        may_write: impl Fn(&Write) -> bool,
        options: &WriteOptions,
    ) -> Sent {
        let Inner { config, locked, .. } = &*self.inner;
        let parts = Writes::divide_all(batch, may_write, config.pool_size, locked);
        let places: Vec<usize> = parts.iter().flat_map(Writes::places).copied().collect();
        let answered =
            run_all(parts.into_iter(), |part| self.write_part(call, part, options)).await;
        (places, answered)
    }

    /// Writes a part of a batch. Writes of an event that another session has locked take turns.
    async fn write_part(
        &self,
        call: &Entered,
        part: Writes,
        options: &WriteOptions,
    ) -> Result<(Vec<bool>, SessionToken)> {
        let Some(event) = part.event().cloned() else {
            return self.write_within(call, part, options).await;
        };
        let Inner { config, locked, .. } = &*self.inner;
        let longest = config.lock_timeout;
        let longest = options.deadline.map_or(longest, |by| longest.min(by.remaining() / 2));
        let turn = locked.turn(&event, longest).await?;
        let answer = self.write_within(call, part, options).await;
        locked.hear(&event, turn.as_ref(), &answer);
        answer
    }

    async fn list<L: Listing>(
        &self,
        work: ListPage<L>,
        request: &PageRequest,
    ) -> Result<Page<L::Item>> {
        self.read(work, &request.options).await?.0
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { config, primary, replicas, .. } = &*self.inner;
        f.debug_struct("PostgresStore")
            .field("config", config)
            .field("primary", primary)
            .field("replicas", replicas)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for PostgresStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let call = self.inner.primary.enter(Operation::Write, options.deadline)?;
        // 1. One write for each pair. Those that meet a change that is not settled wait for it, for a
        //    short time, while the others are written.
        let batch = Arc::new(FoldedBatch::new(writes));
        let primary = &self.inner.primary;
        let earlier = primary.unsettled();
        let meets = |write: &Write| earlier.iter().any(|earlier| earlier.meets_write(write));
        let waiting: Vec<&Write> = batch.finals().iter().filter(|write| meets(write)).collect();
        let settling = primary.settling(
            |earlier| waiting.iter().any(|write| earlier.meets_write(write)),
            options.deadline,
        );
        let first = self.write_all(&call, &batch, |write| !meets(write), options);
        let ((mut places, mut answered), ()) = join(first, settling).await;
        // 2. Those whose way is free by then. The others are refused.
        if !waiting.is_empty() {
            let earlier = primary.unsettled();
            let free = |write: &Write| {
                meets(write) && !earlier.iter().any(|earlier| earlier.meets_write(write))
            };
            let second = self.write_all(&call, &batch, free, options).await;
            places.extend(second.0);
            answered.extend(second.1);
        }
        // 3. The results of all writes.
        Ok(receipt(&batch, places, answered, &unsettled(Operation::Write)))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let call = self.inner.primary.enter(Operation::HasRsvped, options.deadline)?;
        let parts = Membership::new(pairs).bounded();
        let answered = run_all(parts, |part| self.read_within(&call, part, options)).await;
        let results = answered
            .into_iter()
            .flat_map(|part| part.results(|(answers, _)| answers.into_iter().map(Ok).collect()));
        Ok(results.collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let call = self.inner.primary.enter(Operation::RsvpCount, options.deadline)?;
        let parts = Counts::new(events).bounded();
        let answered = run_all(parts, |part| self.read_within(&call, part, options)).await;
        let results = answered.into_iter().flat_map(|part| {
            part.results(|(counts, age)| counts.into_iter().map(|count| aged(count, age)).collect())
        });
        Ok(results.collect())
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

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let keys = &self.inner.removal_keys;
        let work = RemoveEvent { event: event.clone(), limit, after: keys.after(event) };
        let (step, token) = self.write_settled(work, options).await?;
        keys.set(event, step.next.as_deref());
        Ok(RemovalStep::new(step.removed, step.next.is_some(), token))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let work = RemoveUser { user: user.clone(), limit };
        let (removed, token) = self.write_settled(work, options).await?;
        Ok(RemovalStep::new(removed, removed >= limit.get() as u64, token))
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let (value, _) = self.read(ReadLabel { name: name.clone() }, options).await?;
        value.map(|value| stored_id(Operation::Label, Label::new(value))).transpose()
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let (name, expected, value) = (name.clone(), expected.cloned(), value.clone());
        let work = ReplaceLabel { name, expected, value };
        let (before, _) = self.write_settled(work, options).await?;
        before.map(|value| stored_id(Operation::ReplaceLabel, Label::new(value))).transpose()
    }

    async fn ready(&self) -> Result<()> {
        self.inner.primary.run(Ready, None).await
    }

    async fn close(&self) -> Result<()> {
        let Inner { primary, replicas, auditor, .. } = &*self.inner;
        join3(primary.close(), replicas.close(), auditor.close()).await;
        Ok(())
    }

    /// The statement timeout and a second: by then no statement of a call is still under way.
    fn settling_time(&self) -> Duration {
        self.inner.config.statement_timeout + Duration::from_secs(1)
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(&self.inner.auditor)
    }
}
