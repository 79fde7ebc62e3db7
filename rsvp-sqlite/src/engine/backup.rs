//! Copies the file while it is in use.

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

/// The number of pages in one step (1 MiB). A step takes some milliseconds.
const STEP: i32 = 1024;

/// Copies the file to `to`.
pub(crate) struct BackupJob {
    pub(crate) to: PathBuf,
    /// The answer is the number of bytes.
    pub(crate) ticket: Ticket<u64>,
}

impl BackupJob {
    /// Refuses the job, because another backup is running.
    pub(super) fn refuse(self) {
        self.ticket.answer(Err(Error::overloaded(Operation::Backup)));
    }
}

/// The result of a copy.
enum Copied {
    /// The copy is complete, with this number of bytes.
    All(u64),
    /// The caller has gone away.
    Unwanted,
}

impl Writer {
    /// Copies the file in steps, with transactions in between.
    ///
    /// The copy reads through the connection of the writer.
    /// SQLite sees the writes of this connection, and copies changed pages again.
    /// With another connection, every transaction would restart the copy.
    /// It would never end while others write.
    pub(super) fn back_up(&mut self, job: BackupJob) {
        let BackupJob { to, ticket } = job;
        let Some(ticket) = ticket.begin() else { return };
        let partial = beside(&to, "-partial");
        // 1. Copy under another name until the copy is complete.
        let copied = self.copy(&partial, &ticket);
        // 2. Publish the copy and answer.
        finish(copied, &partial, &to, ticket);
    }

    fn copy(&mut self, to: &Path, ticket: &Ticket<u64>) -> std::result::Result<Copied, Failure> {
        // 1. Create an empty file.
        let mut target = create(to)?;
        let connection = self.connect()?;
        let mut backup = Backup::new(&connection, &mut target)?;
        // 2. Alternate between a step of the copy and a transaction.
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
        // 3. Keep the connection. An error drops it, and the next call opens another.
        self.connection = Some(connection);
        whole(target, to)
    }
}

impl BackupJob {
    /// Copies the file through a read-only connection. It blocks the thread.
    /// Another process may write to the file meanwhile.
    ///
    /// One transaction reads all of it, because writes of other processes would restart the copy.
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
    // 1. Begin the transaction. Its snapshot is taken by the first read.
    let transaction = source.unchecked_transaction()?;
    transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // 2. Copy in steps, and stop if the caller has gone away.
    let mut backup = Backup::new(&transaction, &mut target)?;
    while step(&mut backup)? {
        if ticket.is_closed() {
            return Ok(Copied::Unwanted);
        }
    }
    drop(backup);
    whole(target, to)
}

/// Closes a complete copy.
fn whole(target: Connection, to: &Path) -> std::result::Result<Copied, Failure> {
    target.close().map_err(|(_, error)| error)?;
    Ok(Copied::All(fs::metadata(to).map_err(Failure::System)?.len()))
}

/// Creates an empty file for a copy.
fn create(to: &Path) -> std::result::Result<Connection, Failure> {
    remove(to);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let target = Connection::open_with_flags(to, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // The complete copy is synced once before it gets its name, so its writes need no sync.
    target.pragma_update(None, "synchronous", "OFF")?;
    Ok(target)
}

/// Gives a complete copy its name, removes an incomplete one, and answers the caller.
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

/// Copies some pages. Returns whether more pages follow.
fn step(backup: &mut Backup<'_, '_>) -> std::result::Result<bool, Failure> {
    match backup.step(STEP)? {
        StepResult::Done => Ok(false),
        StepResult::Busy | StepResult::Locked => {
            Err(Failure::System(io::ErrorKind::ResourceBusy.into()))
        }
        _ => Ok(true),
    }
}

/// Syncs a copy to the disk and gives it its name.
fn publish(partial: &Path, to: &Path) -> std::result::Result<(), Failure> {
    let publish = || {
        fs::File::open(partial)?.sync_all()?;
        fs::rename(partial, to)?;
        sync_folder(to)
    };
    publish().map_err(Failure::System)
}

/// Removes an incomplete copy and its journal.
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
