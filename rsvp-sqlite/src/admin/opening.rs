//! Opening the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rsvp_core::{Effect, Error, Operation, Result};
use rusqlite::Connection;

use super::schema;
use crate::config::SqliteConfig;
use crate::engine::Parts;
use crate::wire::checkpoint::Checkpoints;
use crate::wire::connection::Connector;
use crate::wire::failure::Failure;
use crate::wire::file::{self, Identity};
use crate::wire::lock::{LockFailure, OwnerLock};

/// The least version of SQLite, as a number. Earlier ones can lose commits when two connections write
/// and move the log at once (the defect "WAL-reset").
const LEAST_VERSION: i32 = 3_051_003;

/// The size of a page in bytes. A new user changes one page somewhere in an index, which is written to
/// the log as a whole, so small pages save most of what a transaction writes: 1,000 callers at once were
/// 1.7 times as fast as with 4 KiB, for 0.9 bytes more an RSVP.
const PAGE_SIZE: i64 = 1024;

/// A library that is too old is linked.
#[derive(Debug, thiserror::Error)]
#[error(
    "SQLite {0} is linked, which can lose commits: 3.51.3 or newer is needed. A library of the \
     system is linked in place of the bundled one, or an older `libsqlite3-sys` is"
)]
struct TooOld(&'static str);

/// What the system says about a file.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
struct FileFailure {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Opens the file, creates it if it is missing and may be, and brings its tables to the latest
/// version. It blocks the thread.
///
/// # Errors
///
/// - [`Error::InvalidInput`] with the field `path`, for a file that is missing, read-only or of
///   another application.
/// - [`Error::Unavailable`], if another store has the file, and for failures of the disk.
/// - [`Error::Corrupt`], if the file is damaged.
pub(crate) fn open(config: &SqliteConfig) -> Result<Parts> {
    check_version(rusqlite::version_number(), rusqlite::version())?;
    // 1. The file, by its one path: two links to it lead to the same lock.
    if config.create {
        file::create(config.path()).map_err(of_file("cannot create", config.path()))?;
    }
    let path = resolve(config.path())?;
    // 2. No other store has it.
    let lock = OwnerLock::acquire(&path, config.busy_timeout).map_err(|failure| match failure {
        LockFailure::Owned(owned) => {
            Error::unavailable(Operation::Open, Effect::NotApplied, Some(owned.into()))
        }
        LockFailure::System(error) => of_file("cannot lock", &path)(error),
    })?;
    // 3. It is this store's. Until that is known nothing is changed.
    let connector = Connector::new(path, config);
    let failed = engine_failed(Operation::Open);
    let connection = connector.look().map_err(failed)?;
    schema::check(&connection)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(Error::invalid_input("path", "is a file that this process may not write to"));
    }
    // 4. Its mode, its settings and its tables.
    let writer = prepare(connection, &connector, config).map_err(failed)?;
    let readers = (0..config.readers).map(|_| connector.reader());
    let readers = readers.collect::<rusqlite::Result<_>>().map_err(failed)?;
    let identity =
        Identity::of(connector.path()).map_err(of_file("cannot find", connector.path()))?;
    Ok(Parts { lock: Arc::new(lock), connector, writer, readers, identity })
}

/// The one path of a file that exists.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(of_file("cannot find", path))
}

/// The connection that writes, to a file that is ready for it.
fn prepare(
    connection: Connection,
    connector: &Connector,
    config: &SqliteConfig,
) -> rusqlite::Result<Connection> {
    // 1. The size of a page, which a file that is not empty has already, and the mode with a log.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // As on file systems without shared memory.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL),
            Some(format!("journal mode {mode} instead of wal")),
        ));
    }
    // 2. The connection with all settings. The first one is closed after it, so that the log stays.
    let writer = connector.writer()?;
    drop(connection);
    schema::migrate(&writer)?;
    // 3. A process before this one may have failed to sync the log, and the system may show pages of
    //    it that are not on the disk. What follows must not build on them, so all of it is written to
    //    the file, and synced, and the log begins again.
    if config.checkpoint && !Checkpoints::new(true).cut_off(&writer)? {
        tracing::warn!("another program reads from the SQLite file, so its log stays as it is");
    }
    Ok(writer)
}

pub(super) fn check_version(number: i32, name: &'static str) -> Result<()> {
    if number >= LEAST_VERSION {
        return Ok(());
    }
    Err(Error::backend(Operation::Open, Effect::NotApplied, false, TooOld(name)))
}

/// The error of what the system says about a file.
fn of_file(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| {
        let reason = match source.kind() {
            io::ErrorKind::NotFound => "does not exist, or its folder does not",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "is a file, or in a folder, that this process may not write to"
            }
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "is not a file",
            _ => {
                let failure = FileFailure { what, path: path.to_owned(), source };
                return Error::unavailable(
                    Operation::Open,
                    Effect::NotApplied,
                    Some(failure.into()),
                );
            }
        };
        Error::invalid_input("path", reason)
    }
}

/// The error of what the engine says.
pub(super) fn engine_failed(operation: Operation) -> impl Fn(rusqlite::Error) -> Error + Copy {
    move |error| Failure::from(error).into_error(operation, Effect::NotApplied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_can_lose_commits_is_refused() {
        check_version(rusqlite::version_number(), rusqlite::version()).unwrap();
        let error = check_version(3_051_002, "3.51.2").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("3.51.2") && source.contains("3.51.3"), "{source}");
    }
}
