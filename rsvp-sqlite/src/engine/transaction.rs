//! One transaction for everything that waits.

use rsvp_core::{Effect, Error, Operation};
use rusqlite::Connection;

use crate::data::change::{Care, Job};
use crate::data::names::Changes;
use crate::wire::failure::{Failure, concerns_an_entry, needs_new_connection};

/// Why a transaction has not been committed.
#[derive(Debug)]
pub(super) enum Aborted {
    /// Nothing of it took effect.
    Before(rusqlite::Error),
    /// It may be in the log, and found there when the file is opened again.
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

/// Begins a transaction that can write, for which it waits as long as the busy timeout: a transaction
/// that reads first could not wait.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

/// Applies jobs within the transaction that has begun, and commits. Whether anything was deleted.
///
/// If an entry fails, all of it is done again, each entry in a savepoint of its own.
pub(super) fn apply(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<bool, Aborted> {
    // 1. All entries together.
    let applied = match apply_with(connection, jobs, Care::None) {
        Err(error) if concerns_an_entry(&error) => {
            // 2. Each alone.
            roll_back(connection);
            begin(connection)
                .and_then(|()| apply_with(connection, jobs, Care::EachAlone))
                .map_err(Aborted::Before)
        }
        applied => applied.map_err(Aborted::Before),
    };
    // 3. The commit, which syncs the log.
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
        // Nothing else is read by then.
        Err(Failure::Shared(_) | Failure::System(_) | Failure::Corrupt(_)) => {
            Err(rusqlite::Error::InvalidQuery)
        }
    }
}

/// Takes back a transaction, unless the engine has done so.
pub(super) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::warn!(%error, "a transaction was not rolled back");
    }
}

/// Gives every caller an error, which is made for each from the operation and the effect.
pub(super) fn fail_all(
    jobs: Vec<Box<dyn Job>>,
    effect: Effect,
    error: impl Fn(Operation, Effect) -> Error,
) {
    for job in jobs {
        job.fail(effect, &error);
    }
}
