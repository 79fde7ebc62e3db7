//! A copy of the file while it is in use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rsvp_core::{Effect, Error, Operation};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::writer::Writer;
use crate::wire::call::Ticket;
use crate::wire::failure::Failure;
use crate::wire::file::{beside, sync_folder};

/// The number of pages that one step copies: 1 MiB, which takes some milliseconds.
const STEP: i32 = 1024;

/// Copies the file to `to`.
pub(crate) struct BackupJob {
    pub(crate) to: PathBuf,
    /// The answer is the number of bytes.
    pub(crate) ticket: Ticket<u64>,
}

impl BackupJob {
    /// Refuses it, because there is one already.
    pub(super) fn refuse(self) {
        self.ticket.answer(Err(Error::overloaded(Operation::Backup)));
    }
}

/// The end of the copy.
enum Copied {
    /// This many bytes.
    All(u64),
    /// The caller has gone away.
    Unwanted,
}

impl Writer {
    /// Copies the file in steps, between which transactions go on.
    ///
    /// It reads through the connection that writes, so that pages which change after they were copied
    /// are copied again by the engine. Through another connection every transaction would make it
    /// begin again, and under writers it would never end.
    pub(super) fn back_up(&mut self, job: BackupJob) {
        let BackupJob { to, ticket } = job;
        let Some(ticket) = ticket.begin() else { return };
        let partial = beside(&to, "-partial");
        // 1. The copy, under another name until it is whole.
        let copied = self.copy(&partial, &ticket);
        // 2. The answer.
        finish(copied, &partial, &to, ticket);
    }

    fn copy(&mut self, to: &Path, ticket: &Ticket<u64>) -> std::result::Result<Copied, Failure> {
        // 1. An empty file.
        let mut target = create(to)?;
        let connection = self.connect()?;
        let mut backup = Backup::new(&connection, &mut target)?;
        // 2. A step of the copy, a transaction, and so on.
        while step(&mut backup)? {
            if ticket.is_closed() {
                return Ok(Copied::Unwanted);
            }
            if let Err(stopped) = self.work_during_backup(&connection) {
                drop(backup);
                drop(connection);
                self.repeat(stopped.unfinished);
                return Err(Failure::System(io::Error::other("the file had to be opened again")));
            }
        }
        drop(backup);
        // 3. The end. If there was none, the connection is replaced.
        self.connection = Some(connection);
        whole(target, to)
    }
}

impl BackupJob {
    /// Copies the file of a connection that only reads, which another process may write to meanwhile.
    /// It blocks the thread.
    ///
    /// All of it is read in one transaction: transactions of others would make the copy begin again.
    /// The log grows until it ends.
    pub(crate) fn run(self, source: &Connection) {
        let Self { to, ticket } = self;
        let Some(ticket) = ticket.begin() else { return };
        let partial = beside(&to, "-partial");
        let copied = copy_snapshot(source, &partial, &ticket);
        finish(copied, &partial, &to, ticket);
    }
}

fn copy_snapshot(
    source: &Connection,
    to: &Path,
    ticket: &Ticket<u64>,
) -> std::result::Result<Copied, Failure> {
    let mut target = create(to)?;
    // 1. The transaction begins with the first read.
    let transaction = source.unchecked_transaction()?;
    transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // 2. The steps, between which the caller may go away.
    let mut backup = Backup::new(&transaction, &mut target)?;
    while step(&mut backup)? {
        if ticket.is_closed() {
            return Ok(Copied::Unwanted);
        }
    }
    drop(backup);
    whole(target, to)
}

/// Closes a copy that has all pages.
fn whole(target: Connection, to: &Path) -> std::result::Result<Copied, Failure> {
    target.close().map_err(|(_, error)| error)?;
    Ok(Copied::All(fs::metadata(to).map_err(Failure::System)?.len()))
}

/// An empty file for a copy, which is synced as a whole in the end.
fn create(to: &Path) -> std::result::Result<Connection, Failure> {
    remove(to);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let target = Connection::open_with_flags(to, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    target.pragma_update(None, "synchronous", "OFF")?;
    Ok(target)
}

/// Gives a whole copy its name, removes what is left of any other, and answers the caller.
fn finish(
    copied: std::result::Result<Copied, Failure>,
    partial: &Path,
    to: &Path,
    ticket: Ticket<u64>,
) {
    let copied = match copied {
        Ok(Copied::All(bytes)) => publish(partial, to).map(|()| bytes),
        Ok(Copied::Unwanted) => return remove(partial),
        Err(failure) => Err(failure),
    };
    if copied.is_err() {
        remove(partial);
    }
    let error = |failure: Failure| failure.into_error(Operation::Backup, Effect::NotApplied);
    ticket.answer(copied.map_err(error));
}

/// Copies some pages. Whether there are more.
fn step(backup: &mut Backup<'_, '_>) -> std::result::Result<bool, Failure> {
    match backup.step(STEP)? {
        StepResult::Done => Ok(false),
        StepResult::Busy | StepResult::Locked => {
            Err(Failure::System(io::ErrorKind::ResourceBusy.into()))
        }
        _ => Ok(true),
    }
}

/// Gives a copy its name, once it is on the disk.
fn publish(partial: &Path, to: &Path) -> std::result::Result<(), Failure> {
    let publish = || {
        fs::File::open(partial)?.sync_all()?;
        fs::rename(partial, to)?;
        sync_folder(to)
    };
    publish().map_err(Failure::System)
}

/// Removes what is left of a copy.
fn remove(partial: &Path) {
    for path in [partial.to_owned(), beside(partial, "-journal")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a partial backup was not removed");
            }
            _ => {}
        }
    }
}
