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

/// The least version of SQLite, as a number. Earlier versions can lose commits if one connection
/// writes while another one moves the log (the defect "WAL-reset").
const LEAST_VERSION: i32 = 3_051_003;

/// The size of a page in bytes.
///
/// A new user changes one page of an index, and SQLite writes the whole page to the log.
/// Small pages save most of these bytes. With 1,000 callers at once, writes were 1.7 times as fast
/// as with 4 KiB. An RSVP takes 0.9 bytes more.
const PAGE_SIZE: i64 = 1024;

/// The linked library is too old.
#[derive(Debug, thiserror::Error)]
#[error(
    "SQLite {0} is linked, which can lose commits: 3.51.3 or newer is needed. A library of the \
     system is linked in place of the bundled one, or an older `libsqlite3-sys` is"
)]
struct TooOld(&'static str);

/// An error of the operating system about a file.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
struct FileFailure {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Opens the file and brings its tables to the latest version.
/// It creates a missing file if the configuration allows it. It blocks the thread.
///
/// # Errors
///
/// - [`Error::InvalidInput`] with the field `path` if the file is missing, read-only or of another
///   application.
/// - [`Error::Unavailable`] if another store owns the file, and for failures of the disk.
/// - [`Error::Corrupt`] if the file is damaged.
pub(crate) fn open(config: &SqliteConfig) -> Result<Parts> {
    check_version(rusqlite::version_number(), rusqlite::version())?;
    // 1. Find the canonical path, so that two symbolic links to a file lead to the same lock.
    if config.create {
        file::create(config.path()).map_err(of_file("cannot create", config.path()))?;
    }
    let path = resolve(config.path())?;
    // 2. Become the only store of the file.
    let lock = OwnerLock::acquire(&path, config.busy_timeout).map_err(|failure| match failure {
        LockFailure::Owned(owned) => {
            Error::unavailable(Operation::Open, Effect::NotApplied, Some(owned.into()))
        }
        LockFailure::System(error) => of_file("cannot lock", &path)(error),
    })?;
    // 3. Check that the file belongs to this kind of store, before anything is written to it.
    let connector = Connector::new(path, config);
    let failed = engine_failed(Operation::Open);
    let connection = connector.look().map_err(failed)?;
    schema::check(&connection)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(Error::invalid_input("path", "is a file that this process may not write to"));
    }
    // 4. Set the journal mode and the settings, and migrate the tables.
    let writer = prepare(connection, &connector, config).map_err(failed)?;
    let readers = (0..config.readers).map(|_| connector.reader());
    let readers = readers.collect::<rusqlite::Result<_>>().map_err(failed)?;
    let identity =
        Identity::of(connector.path()).map_err(of_file("cannot find", connector.path()))?;
    Ok(Parts { lock: Arc::new(lock), connector, writer, readers, identity })
}

/// Returns the canonical path of an existing file.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(of_file("cannot find", path))
}

/// Prepares the file and returns the connection of the writer.
fn prepare(
    connection: Connection,
    connector: &Connector,
    config: &SqliteConfig,
) -> rusqlite::Result<Connection> {
    // 1. Set the page size and the journal mode. The page size takes effect in an empty file only.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        // File systems without shared memory refuse the mode.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL),
            Some(format!("journal mode {mode} instead of wal")),
        ));
    }
    // 2. Open the connection with all settings, and close the first one afterwards.
    //    The last connection to close would remove the log.
    let writer = connector.writer()?;
    drop(connection);
    schema::migrate(&writer)?;
    // 3. An earlier process may have failed to sync the log.
    //    The system may then show pages of the log that are not on the disk.
    //    Later commits must not build on them.
    //    So move the whole log into the file, sync the file, and begin the log again.
    if config.checkpoint && !Checkpoints::new(true).cut_off(&writer)? {
        tracing::warn!("another program reads from the SQLite file, so its log stays as it is");
    }
    Ok(writer)
}

pub(super) fn check_version(number: i32, name: &'static str) -> Result<()> {
    // A linked library can differ from the bundled one, so the check is at run time.
    if number >= LEAST_VERSION {
        return Ok(());
    }
    Err(Error::backend(Operation::Open, Effect::NotApplied, false, TooOld(name)))
}

/// Maps an error of the operating system about a file.
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

/// Maps an error of SQLite.
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
