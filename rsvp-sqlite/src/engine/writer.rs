//! The writer thread. It turns all waiting changes into one transaction with one sync.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rsvp_core::{Effect, Error};
use rusqlite::Connection;

use super::backup::BackupJob;
use super::threads::Alive;
use super::transaction::{Aborted, apply, begin, fail_all, roll_back};
use crate::data::change::Job;
use crate::wire::checkpoint::Checkpoints;
use crate::wire::connection::Connector;
use crate::wire::failure::{concerns_a_page, engine_error, needs_new_connection};
use crate::wire::file::{Gone, Identity};
use crate::wire::queue::{Queue, Taken};

/// A transaction takes no further call after this number of entries.
const MOST: usize = 8192;

/// A job of the writer.
pub(crate) enum WriterJob {
    Change(Box<dyn Job>),
    Backup(BackupJob),
}

/// The writer. It owns the only connection that writes.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue<WriterJob>>,
    pub(super) connector: Connector,
    /// `None` after a failure that leaves the connection in doubt.
    pub(super) connection: Option<Connection>,
    pub(super) identity: Identity,
    pub(super) checkpoints: Checkpoints,
    /// Whether the last transaction has failed.
    pub(super) failing: Arc<AtomicBool>,
    /// It fails when the last reader has closed its connection.
    pub(super) readers_ended: Receiver<Infallible>,
    /// Releases the file when all threads have ended.
    pub(super) alive: Alive,
}

/// The connection of a running backup must be replaced.
pub(super) struct BackupStopped {
    /// The jobs of a failed commit. They must be [repeated](Writer::repeat).
    pub(super) unfinished: Vec<Box<dyn Job>>,
}

/// The work left after a transaction.
enum After {
    Nothing,
    /// The connection must be replaced.
    Reconnect,
    /// The connection must be replaced, and these jobs repeated, because their effect is unknown.
    Repeat(Vec<Box<dyn Job>>),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            match self.queue.take(MOST, self.checkpoints.patience()) {
                Taken::Jobs(jobs) => self.work(jobs),
                Taken::Nothing => self.tidy_up(),
                Taken::End => break,
            }
        }
        // The last connection to close moves the log into the file.
        // If two close at the same time, neither does, so this one waits for the readers.
        // Nothing is ever sent.
        let _ = self.readers_ended.recv();
        drop(self.connection.take());
        drop(self.alive);
    }

    /// Does jobs in their order. Successive changes share a transaction.
    fn work(&mut self, jobs: Vec<WriterJob>) {
        let mut changes = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                WriterJob::Change(change) => changes.push(change),
                WriterJob::Backup(backup) => {
                    self.transact(std::mem::take(&mut changes));
                    self.back_up(backup);
                }
            }
        }
        self.transact(changes);
    }

    /// Applies changes in one transaction and answers their callers.
    fn transact(&mut self, jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) => return self.refuse(jobs, Effect::NotApplied, error),
        };
        match self.transact_on(&connection, jobs) {
            After::Nothing => self.connection = Some(connection),
            After::Reconnect => {}
            After::Repeat(jobs) => {
                drop(connection);
                self.repeat(jobs);
            }
        }
    }

    /// Repeats jobs after their failed commit.
    ///
    /// The sync of the log has failed, so the writes may be on the disk or not.
    /// The system may take them for written all the same, and would not write them again.
    /// So a new connection writes them again over the same place of the log.
    /// It has not seen the failed writes. Its commit decides.
    pub(super) fn repeat(&mut self, jobs: Vec<Box<dyn Job>>) {
        match self.connect() {
            Ok(connection) => {
                if let After::Nothing = self.repeat_on(&connection, jobs) {
                    self.connection = Some(connection);
                }
            }
            Err(error) => self.refuse(jobs, Effect::Unknown, error),
        }
    }

    /// Does one round of work during a backup through this connection.
    ///
    /// # Errors
    ///
    /// If the connection must be replaced. This ends the copy.
    pub(super) fn work_during_backup(
        &mut self,
        connection: &Connection,
    ) -> Result<(), BackupStopped> {
        let Taken::Jobs(jobs) = self.queue.take(MOST, Some(Duration::ZERO)) else { return Ok(()) };
        let mut changes = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                WriterJob::Change(change) => changes.push(change),
                // One backup runs at a time.
                WriterJob::Backup(backup) => backup.refuse(),
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        match self.transact_on(connection, changes) {
            After::Nothing => Ok(()),
            After::Reconnect => Err(BackupStopped { unfinished: Vec::new() }),
            After::Repeat(unfinished) => Err(BackupStopped { unfinished }),
        }
    }

    pub(super) fn connect(&mut self) -> rusqlite::Result<Connection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                let connection = self.connector.writer()?;
                // The query opens the log. If the log is missing, the next transaction is refused.
                connection.query_row("SELECT count(*) FROM labels", [], |_| Ok(()))?;
                if let Err(error) = self.identity.renew_log() {
                    tracing::warn!(%error, "the log of the SQLite file was not found");
                }
                Ok(connection)
            }
        }
    }

    /// Applies jobs in one transaction, and returns the work left after it.
    fn transact_on(&mut self, connection: &Connection, jobs: Vec<Box<dyn Job>>) -> After {
        // 1. Check that the file is still in place, and wait for writes of other programs.
        if let Err(gone) = self.identity.check() {
            self.refuse_gone(jobs, Effect::NotApplied, &Arc::new(gone));
            return After::Nothing;
        }
        if let Err(error) = begin(connection) {
            let doubtful = needs_new_connection(&error);
            self.refuse(jobs, Effect::NotApplied, error);
            return if doubtful { After::Reconnect } else { After::Nothing };
        }
        // 2. Keep the jobs whose caller still waits. Until now their callers could give them up.
        let jobs: Vec<_> = jobs.into_iter().filter_map(Job::begin).collect();
        if jobs.is_empty() {
            roll_back(connection);
            return After::Nothing;
        }
        // 3. Apply and commit.
        self.commit(connection, jobs)
    }

    /// Commits jobs in the begun transaction, or in several ones if a page is damaged.
    fn commit(&mut self, connection: &Connection, mut jobs: Vec<Box<dyn Job>>) -> After {
        match apply(connection, &mut jobs) {
            Ok(erased) => self.answer(connection, jobs, erased),
            Err(Aborted::AtCommit(error)) => {
                tracing::warn!(%error, "a commit to the SQLite file failed, and is repeated");
                After::Repeat(jobs)
            }
            Err(Aborted::Before(error)) if concerns_a_page(&error) && jobs.len() > 1 => {
                let others = jobs.split_off(jobs.len() / 2);
                self.commit_apart(connection, jobs, others)
            }
            Err(Aborted::Before(error)) => {
                let doubtful = needs_new_connection(&error);
                self.refuse(jobs, Effect::NotApplied, error);
                if doubtful { After::Reconnect } else { After::Nothing }
            }
        }
    }

    /// Commits two halves of jobs one after the other.
    ///
    /// Some jobs need a damaged page, and SQLite commits nothing after reading it.
    /// Each half is divided further, until these jobs are alone.
    fn commit_apart(
        &mut self,
        connection: &Connection,
        first: Vec<Box<dyn Job>>,
        second: Vec<Box<dyn Job>>,
    ) -> After {
        let mut after = After::Nothing;
        for half in [first, second] {
            after = match after {
                // The first half is repeated on a new connection, and the second half joins it.
                After::Repeat(mut jobs) => {
                    jobs.extend(half);
                    After::Repeat(jobs)
                }
                before => {
                    let after = match begin(connection) {
                        Ok(()) => self.commit(connection, half),
                        Err(error) => {
                            self.refuse(half, Effect::NotApplied, error);
                            After::Reconnect
                        }
                    };
                    if let After::Nothing = after { before } else { after }
                }
            };
        }
        after
    }

    /// Applies jobs once more, after their failed commit.
    fn repeat_on(&mut self, connection: &Connection, mut jobs: Vec<Box<dyn Job>>) -> After {
        if let Err(error) = begin(connection) {
            self.refuse(jobs, Effect::Unknown, error);
            return After::Reconnect;
        }
        match apply(connection, &mut jobs) {
            Ok(erased) => self.answer(connection, jobs, erased),
            Err(aborted) => {
                let effect = aborted.effect().and(Effect::Unknown);
                let (Aborted::Before(error) | Aborted::AtCommit(error)) = aborted;
                self.refuse(jobs, effect, error);
                After::Reconnect
            }
        }
    }

    /// Answers the callers of a committed transaction.
    fn answer(&mut self, connection: &Connection, jobs: Vec<Box<dyn Job>>, erased: bool) -> After {
        // If the file was removed meanwhile, the transaction is in the removed file,
        // and lost with it.
        if let Err(gone) = self.identity.check() {
            self.refuse_gone(jobs, Effect::Unknown, &Arc::new(gone));
            return After::Nothing;
        }
        self.failing.store(false, Ordering::Relaxed);
        jobs.into_iter().for_each(Job::finish);
        match self.checkpoints.committed(connection, erased) {
            Ok(()) => After::Nothing,
            Err(error) => self.checkpoint_failed(&error),
        }
    }

    /// Logs a failed checkpoint. A later one moves the log.
    fn checkpoint_failed(&self, error: &rusqlite::Error) -> After {
        tracing::warn!(%error, "the log of the SQLite file was not moved into the file");
        if needs_new_connection(error) { After::Reconnect } else { After::Nothing }
    }

    fn refuse(&self, jobs: Vec<Box<dyn Job>>, effect: Effect, error: rusqlite::Error) {
        self.failing.store(true, Ordering::Relaxed);
        let error = Arc::new(error);
        fail_all(jobs, effect, |operation, effect| engine_error(operation, effect, &error));
    }

    fn refuse_gone(&self, jobs: Vec<Box<dyn Job>>, effect: Effect, gone: &Arc<Gone>) {
        self.failing.store(true, Ordering::Relaxed);
        fail_all(jobs, effect, |operation, effect| {
            Error::unavailable(operation, effect, Some(Arc::clone(gone).into()))
        });
    }

    /// Moves the log into the file while the writer is idle.
    fn tidy_up(&mut self) {
        let Ok(connection) = self.connect() else { return };
        let after = match self.checkpoints.idle(&connection) {
            Ok(()) => After::Nothing,
            Err(error) => self.checkpoint_failed(&error),
        };
        if let After::Nothing = after {
            self.connection = Some(connection);
        }
    }
}
