//! One transaction for all waiting changes.

use rsvp_core::{Effect, Error, Operation};
use rusqlite::Connection;

use crate::data::change::{Care, Job};
use crate::data::names::Changes;
use crate::wire::failure::{Failure, concerns_an_entry, needs_new_connection};

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Aborted {
    /// Nothing of it took effect.
    Before(rusqlite::Error),
    /// It may be in the log, and take effect when the file is opened again.
    AtCommit(rusqlite::Error),
}

impl Aborted {
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Before(_) => Effect::NotApplied,
            Self::AtCommit(_) => Effect::Unknown,
        }
    }
}

/// Begins a write transaction. It waits for other programs up to the busy timeout.
///
/// A transaction with a read before its first write could not wait for them.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

/// Applies jobs within a begun transaction, and commits. Returns whether anything was deleted.
///
/// If an entry fails, the transaction is repeated with a savepoint for each entry.
pub(super) fn apply(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<bool, Aborted> {
    // 1. Apply all entries together.
    let applied = match apply_with(connection, jobs, Care::None) {
        Err(error) if concerns_an_entry(&error) => {
            // 2. Apply each entry in a savepoint.
            roll_back(connection);
            begin(connection)
                .and_then(|()| apply_with(connection, jobs, Care::EachAlone))
                .map_err(Aborted::Before)
        }
        applied => applied.map_err(Aborted::Before),
    };
    // 3. Commit. This syncs the log.
    let committed = applied.and_then(|erased| {
        let commit = connection.prepare_cached("COMMIT").and_then(|mut it| it.execute([]));
        match commit {
            Ok(_) => Ok(erased),
            Err(error) if needs_new_connection(&error) => Err(Aborted::AtCommit(error)),
            Err(error) => Err(Aborted::Before(error)),
        }
    });
    if committed.is_err() {
        roll_back(connection);
    }
    committed
}

fn apply_with(
    connection: &Connection,
    jobs: &mut [Box<dyn Job>],
    care: Care,
) -> rusqlite::Result<bool> {
    let mut changes = Changes::new(connection);
    for job in jobs {
        job.apply(&mut changes, care)?;
    }
    match changes.flush() {
        Ok(()) => Ok(changes.has_erased()),
        Err(Failure::Engine(error)) => Err(error),
        // A flush only writes, so it finds no corrupt data and no error of the system.
        Err(Failure::Shared(_) | Failure::System(_) | Failure::Corrupt(_)) => {
            Err(rusqlite::Error::InvalidQuery)
        }
    }
}

/// Rolls back a transaction, unless SQLite has done so.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::warn!(%error, "a transaction was not rolled back");
    }
}

/// Gives every caller an error of its own, from the operation and the effect.
pub(super) fn fail_all(
    jobs: Vec<Box<dyn Job>>,
    effect: Effect,
    error: impl Fn(Operation, Effect) -> Error,
) {
    for job in jobs {
        job.fail(effect, &error);
    }
}
