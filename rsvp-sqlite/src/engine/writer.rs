//! The thread that writes: it turns everything that waits into one transaction with one sync.

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

/// The number of entries from which on a transaction takes no further call.
const MOST: usize = 8192;

/// What the writer is asked to do.
pub(crate) enum WriterJob {
    Change(Box<dyn Job>),
    Backup(BackupJob),
}

/// The writer. It owns the one connection that writes.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue<WriterJob>>,
    pub(super) connector: Connector,
    /// `None` after a failure that leaves doubts about the connection.
    pub(super) connection: Option<Connection>,
    pub(super) identity: Identity,
    pub(super) checkpoints: Checkpoints,
    /// Whether the last transaction has failed.
    pub(super) failing: Arc<AtomicBool>,
    /// Fails when the last reader has closed its connection.
    pub(super) readers_ended: Receiver<Infallible>,
    /// Lets go of the file when all threads have ended.
    pub(super) alive: Alive,
}

/// The connection through which the file is copied must be replaced.
pub(super) struct BackupStopped {
    /// The jobs of a commit that has failed, to be [repeated](Writer::repeat).
    pub(super) unfinished: Vec<Box<dyn Job>>,
}

/// What is left to do after a transaction.
enum After {
    Nothing,
    /// The connection must be replaced.
    Reconnect,
    /// The same, and then these jobs be done again, because nobody knows whether they are done.
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
        // The last connection that is closed moves the log into the file. Of two at the same time none
        // does, so this one waits for the readers. Nothing is ever sent.
        let _ = self.readers_ended.recv();
        drop(self.connection.take());
        drop(self.alive);
    }

    /// Does jobs in their order: changes together, backups one after another.
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

    /// Does jobs again after their commit has failed.
    ///
    /// The log was not synced. What was written may be on the disk or not, and the system may take it
    /// for written all the same. So it is written again, over the same place of the log, by a
    /// connection that has not seen it. Then it is decided.
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

    /// One round of work while the file is copied through this connection.
    ///
    /// # Errors
    ///
    /// If the connection must be replaced, which ends the copy.
    pub(super) fn work_during_backup(
        &mut self,
        connection: &Connection,
    ) -> Result<(), BackupStopped> {
        let Taken::Jobs(jobs) = self.queue.take(MOST, Some(Duration::ZERO)) else { return Ok(()) };
        let mut changes = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                WriterJob::Change(change) => changes.push(change),
                // One at a time.
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
                // Opens the log. If that is not there, the next transaction is refused.
                connection.query_row("SELECT count(*) FROM labels", [], |_| Ok(()))?;
                if let Err(error) = self.identity.renew_log() {
                    tracing::warn!(%error, "the log of the SQLite file was not found");
                }
                Ok(connection)
            }
        }
    }

    /// One transaction, and what it leaves to do.
    fn transact_on(&mut self, connection: &Connection, jobs: Vec<Box<dyn Job>>) -> After {
        // 1. The file is there, and nobody else writes to it.
        if let Err(gone) = self.identity.check() {
            self.refuse_gone(jobs, Effect::NotApplied, &Arc::new(gone));
            return After::Nothing;
        }
        if let Err(error) = begin(connection) {
            let doubtful = needs_new_connection(&error);
            self.refuse(jobs, Effect::NotApplied, error);
            return if doubtful { After::Reconnect } else { After::Nothing };
        }
        // 2. Those that somebody still waits for. Until now their callers could give them up.
        let jobs: Vec<_> = jobs.into_iter().filter_map(Job::begin).collect();
        if jobs.is_empty() {
            roll_back(connection);
            return After::Nothing;
        }
        // 3. All of them.
        self.commit(connection, jobs)
    }

    /// Commits the transaction that has begun with these jobs, or several of them if a page is damaged.
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

    /// Commits two halves of jobs one after the other, because some of them need a page that is damaged,
    /// after which the engine commits nothing. Each half is divided further, until those are alone.
    fn commit_apart(
        &mut self,
        connection: &Connection,
        first: Vec<Box<dyn Job>>,
        second: Vec<Box<dyn Job>>,
    ) -> After {
        let mut after = After::Nothing;
        for half in [first, second] {
            after = match after {
                // The others are done again with those whose commit has failed.
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

    /// The same jobs once more, after a commit that failed.
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

    /// Answers the callers of a transaction that was committed.
    fn answer(&mut self, connection: &Connection, jobs: Vec<Box<dyn Job>>, erased: bool) -> After {
        // A file that was removed meanwhile has the transaction, and will be gone with it.
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

    /// The log stays as it is, and is moved later.
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

    /// Moves the log into the file while there is nothing else to do.
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
