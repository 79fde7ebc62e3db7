//! The store, with one method for each call.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::backend::{FoldedBatch, fail_all};
use rsvp_core::{
    BatchReceipt, Count, Deadline, Effect, Error, EventId, Health, Label, LabelName, Maintenance,
    Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    SessionToken, UserId, Write, WriteOptions, async_trait,
};

use crate::admin::audit::Auditor;
use crate::admin::opening;
use crate::config::SqliteConfig;
use crate::data::counts::Counts;
use crate::data::label::{ReadLabel, ReplaceLabel};
use crate::data::listing::{Attendees, EventsOf, Scan};
use crate::data::membership::Membership;
use crate::data::ready::Ready;
use crate::data::remove::{RemoveEvent, RemoveUser};
use crate::data::write::Writes;
use crate::engine::{BackupJob, Threads};
use crate::wire::call::{SETTLING, Waiting, call};

/// The maximum number of entries in one read. It keeps the transactions of readers short.
const PIECE: usize = 4096;

/// The longest duration of a backup.
pub(crate) const BACKUP_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Keeps RSVPs in one SQLite file.
///
/// An acknowledged write is synced to the disk. It survives `kill -9` and the loss of power,
/// unless the store was opened with [`Durability::Normal`](crate::Durability::Normal).
/// Every reader sees it at once. Every consistency level is answered strongly.
///
/// - All waiting writes become one transaction with one sync. Writes during a transaction form the
///   next one. A failing entry, for example one refused by a trigger, fails alone.
/// - Reads have connections of their own and never wait for the writer.
/// - No call blocks the async threads.
///   One thread writes, and [`SqliteConfig::with_readers`] threads read.
/// - The queues are bounded. If a queue is full, a call fails with [`Error::Overloaded`].
/// - A failure of the disk is [`Error::Unavailable`]. Calls succeed again when its cause is gone.
/// - A damaged page is [`Error::Corrupt`] for the calls that need it.
///
/// Clones share everything. After the last clone is dropped,
/// the threads finish the waiting calls and end. [`close`](RsvpStore::close) waits for their end.
///
/// ```
/// use rsvp_core::{EventId, RsvpStore, RsvpStoreExt, UserId};
/// use rsvp_sqlite::{SqliteConfig, SqliteStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rsvp.db");
/// let store = SqliteStore::open(SqliteConfig::new(&path)).await?;
/// store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
/// store.close().await?;
///
/// let store = SqliteStore::open(SqliteConfig::new(&path)).await?;
/// assert!(store.has_rsvped(&UserId::from(1), &EventId::new("101a")?).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    config: Arc<SqliteConfig>,
    threads: Arc<Threads>,
    auditor: Arc<Auditor>,
}

impl SqliteStore {
    /// Opens the file, creates it if it is missing, and brings its tables to the latest version.
    ///
    /// One store owns a file. If another store owns it, opening waits for the
    /// [busy timeout](SqliteConfig::with_busy_timeout), as in a deploy, and then fails.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the field of a wrong setting.
    /// - [`Error::InvalidInput`] with the field `path` if the file is missing, read-only,
    ///   of another application or of a later release.
    /// - [`Error::Unavailable`] if another store owns the file, and for failures of the disk.
    /// - [`Error::Corrupt`] if the file is damaged.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        config.check()?;
        let config = Arc::new(config);
        let of_thread = Arc::clone(&config);
        let opening = tokio::task::spawn_blocking(move || {
            let parts = opening::open(&of_thread)?;
            Threads::start(&of_thread, parts).map_err(|error| {
                Error::unavailable(Operation::Open, Effect::NotApplied, Some(error.into()))
            })
        });
        let threads = opening
            .await
            .map_err(|error| Error::backend(Operation::Open, Effect::NotApplied, false, error))??;
        let threads = Arc::new(threads);
        let auditor = Arc::new(Auditor(Arc::clone(&threads)));
        Ok(Self { config, threads, auditor })
    }

    /// Returns the configuration of the store.
    #[must_use]
    pub fn config(&self) -> &SqliteConfig {
        &self.config
    }

    /// Copies the store to a new file at `to` while it is in use, and returns the number of bytes.
    ///
    /// The copy shows the store at one moment after the beginning of the call.
    /// It is synced to the disk, and opens as any other file of a store.
    ///
    /// Other calls continue, because the copy proceeds in steps of 1 MiB between transactions.
    /// Until it is complete, the copy has the name `to` with the suffix `-partial`.
    /// If the future is dropped, the copy ends and is removed.
    /// After a crash, the next backup to the same path replaces the partial copy.
    ///
    /// ```
    /// # use rsvp_core::Result;
    /// # use rsvp_sqlite::SqliteStore;
    /// async fn nightly(store: &SqliteStore) -> Result<()> {
    ///     let bytes = store.backup("/backups/rsvp.monday.db").await?;
    ///     println!("{bytes} bytes");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the field `to` if the file at `to` exists already.
    /// - [`Error::Overloaded`] during another backup.
    /// - [`Error::Unavailable`] if the disk fails, or has no room.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<u64> {
        let operation = Operation::Backup;
        self.threads.check(operation, None)?;
        let to = to.into();
        // A file created after this check is replaced by the complete copy.
        if exists(to.clone()).await {
            return Err(Error::invalid_input("to", "exists already"));
        }
        let (ticket, waiting) = call(operation, Deadline::after(BACKUP_TIMEOUT));
        self.threads.send_backup(BackupJob { to, ticket })?;
        waiting.answer().await
    }

    /// Returns the answers of the writer to a part of a batch.
    ///
    /// If a page is damaged, the part is divided until the writes that need it are alone.
    async fn written(
        &self,
        part: Writes,
        waiting: Waiting<Vec<Result<bool>>>,
        deadline: Option<Deadline>,
    ) -> Vec<Result<bool>> {
        let error = match waiting.answer().await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        match part.halves() {
            Some(halves) if matches!(error, Error::Corrupt { .. }) => {
                let mut answers = Vec::with_capacity(part.len());
                for half in halves {
                    let sent = (half.len(), half.clone());
                    let sent = self.threads.send_changes(Operation::Write, [sent], deadline);
                    match sent.map(|mut waiting| waiting.pop()) {
                        Ok(Some(waiting)) => {
                            answers.extend(Box::pin(self.written(half, waiting, deadline)).await);
                        }
                        Ok(None) => answers.extend(fail_all(half.len(), &error)),
                        Err(error) => answers.extend(fail_all(half.len(), &error)),
                    }
                }
                answers
            }
            _ => fail_all(part.len(), &error),
        }
    }
}

/// Returns the weight of a page in the queue, as a number of lookups of single pairs.
fn weight(request: &PageRequest) -> usize {
    request.limit.get().div_ceil(16)
}

/// Returns whether the file exists. It runs on a blocking thread, because the disk may be slow.
async fn exists(path: PathBuf) -> bool {
    let exists = move || Path::new(&path).symlink_metadata().is_ok();
    tokio::task::spawn_blocking(exists).await.unwrap_or(true)
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for SqliteStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.threads.check(Operation::Write, options.deadline)?;
        // 1. Fold the batch to one write for each pair,
        //    and divide it into pieces without a common pair.
        //    The queue takes all of them, or none.
        let batch = Arc::new(FoldedBatch::new(writes));
        let pieces = Writes::pieces(&batch);
        let jobs = pieces.iter().map(|piece| (piece.len(), piece.clone()));
        let waiting = self.threads.send_changes(Operation::Write, jobs, options.deadline)?;
        // 2. Return the answers in the order of the writes.
        let parts = pieces.into_iter().zip(waiting);
        let answers = parts.map(|(part, waiting)| self.written(part, waiting, options.deadline));
        let mut answers = join_all(answers).await.into_iter().flatten();
        let none = || Err(Error::corrupt(Operation::Write, "no answer to a write"));
        let results = batch.results(|_| answers.next().unwrap_or_else(none));
        Ok(BatchReceipt::new(results, SessionToken::new()))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.threads.check(Operation::HasRsvped, options.deadline)?;
        let parts = pairs.chunks(PIECE).map(|pairs| async move {
            let read = Membership { pairs: pairs.to_vec() };
            let answered = self.threads.read(read, pairs.len(), options.deadline).await;
            answered.unwrap_or_else(|error| fail_all(pairs.len(), &error))
        });
        Ok(join_all(parts).await.into_iter().flatten().collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.threads.check(Operation::RsvpCount, options.deadline)?;
        let parts = events.chunks(PIECE).map(|events| async move {
            let read = Counts { events: events.to_vec() };
            let answered = self.threads.read(read, events.len(), options.deadline).await;
            answered.unwrap_or_else(|error| fail_all(events.len(), &error))
        });
        Ok(join_all(parts).await.into_iter().flatten().collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let (read, weight) = (Attendees::new(event, request)?, weight(request));
        self.threads.read(read, weight, request.options.deadline).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let (read, weight) = (EventsOf::new(user, request)?, weight(request));
        self.threads.read(read, weight, request.options.deadline).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let (read, weight) = (Scan::new(request)?, weight(request));
        self.threads.read(read, weight, request.options.deadline).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let change = RemoveEvent { event: event.clone(), limit };
        self.threads.change(change, limit.get(), options.deadline).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let change = RemoveUser { user: user.clone(), limit };
        self.threads.change(change, limit.get(), options.deadline).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.threads.read(ReadLabel { name: name.clone() }, 1, options.deadline).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let (name, expected, value) = (name.clone(), expected.cloned(), value.clone());
        self.threads.change(ReplaceLabel { name, expected, value }, 1, options.deadline).await
    }

    async fn ready(&self) -> Result<()> {
        let lock = Weak::clone(self.threads.lock());
        let failing = Arc::clone(self.threads.failing());
        self.threads.change(Ready { lock, failing }, 1, None).await
    }

    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    async fn close(&self) -> Result<()> {
        self.threads.close().await;
        Ok(())
    }

    /// A write may take effect later than this only if the disk hangs.
    fn settling_time(&self) -> Duration {
        SETTLING
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(&*self.auditor)
    }
}
