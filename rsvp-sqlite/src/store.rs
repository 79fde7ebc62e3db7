//! The store: one method for each call.

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

/// The most entries of one read, so that the transaction of a reader stays short.
const PIECE: usize = 4096;

/// How long a backup may take.
pub(crate) const BACKUP_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Keeps RSVPs in one SQLite file.
///
/// An acknowledged write has been synced to the disk: it survives `kill -9` and the loss of power,
/// unless the store was opened with [`Durability::Normal`](crate::Durability::Normal). It is visible to
/// every reader at once. Every consistency level is answered strongly.
///
/// - Everything that waits becomes one transaction with one sync. Calls that come meanwhile form the
///   next one. An entry that fails, such as one that a trigger refuses, fails alone.
/// - Reads have connections of their own and never wait for the writer.
/// - No call blocks the async threads: a thread writes, and [`SqliteConfig::with_readers`] threads read.
/// - The queues are bounded. A call that finds one full is refused as
///   [`Error::Overloaded`](rsvp_core::Error::Overloaded).
/// - A failure of the disk is [`Error::Unavailable`](rsvp_core::Error::Unavailable), and calls succeed
///   again when its cause is gone. A damaged page is [`Error::Corrupt`](rsvp_core::Error::Corrupt) for
///   the calls that need it.
///
/// Clones share everything. The threads end when the last clone is dropped, after the calls that
/// wait; [`close`](RsvpStore::close) waits for that.
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
    /// One store owns a file. Another one that opens it waits for as long as the
    /// [busy timeout](SqliteConfig::with_busy_timeout), as in a deploy, and is refused then.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the field of a setting that is wrong, or with the field `path`
    ///   for a file that is missing, read-only, of another application or of a later release.
    /// - [`Error::Unavailable`] if another store has the file, and for failures of the disk.
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

    /// The configuration that the store was opened with.
    #[must_use]
    pub fn config(&self) -> &SqliteConfig {
        &self.config
    }

    /// Copies the store to a new file at `to` while it is in use, and returns the number of bytes.
    ///
    /// The copy is the store at one moment, which is not before the call. It is synced to the disk
    /// and opens as any other file of a store. Calls go on meanwhile: the copy is made in steps of 1 MiB
    /// between transactions. It is called `to` with `-partial` behind it until it is whole. If the
    /// future is dropped, the copy ends and is removed; what a crash leaves of one is replaced by the
    /// next.
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
    /// - [`Error::InvalidInput`] with the field `to` if there is a file already.
    /// - [`Error::Overloaded`] while another backup is made.
    /// - [`Error::Unavailable`] if the disk fails, or has no room.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<u64> {
        let operation = Operation::Backup;
        self.threads.check(operation, None)?;
        let to = to.into();
        if exists(to.clone()).await {
            return Err(Error::invalid_input("to", "exists already"));
        }
        let (ticket, waiting) = call(operation, Deadline::after(BACKUP_TIMEOUT));
        self.threads.send_backup(BackupJob { to, ticket })?;
        waiting.answer().await
    }

    /// The answers of the writer to a part of a batch.
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

/// The number of questions about single pairs that take as long as a page.
fn weight(request: &PageRequest) -> usize {
    request.limit.get().div_ceil(16)
}

/// Whether there is a file. Asking the disk may block.
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
        // 1. One write for each pair, in pieces that share no pair. All are taken, or none.
        let batch = Arc::new(FoldedBatch::new(writes));
        let pieces = Writes::pieces(&batch);
        let jobs = pieces.iter().map(|piece| (piece.len(), piece.clone()));
        let waiting = self.threads.send_changes(Operation::Write, jobs, options.deadline)?;
        // 2. Their answers, in the order of the writes.
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

    /// Longer only if the disk hangs.
    fn settling_time(&self) -> Duration {
        SETTLING
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(&*self.auditor)
    }
}
