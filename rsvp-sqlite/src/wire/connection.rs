//! Connections to the file, with their settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::config::{Durability, SqliteConfig};

/// The most statements that a connection keeps prepared: all that there are.
const STATEMENTS: usize = 64;

/// The size in bytes above which the log is cut back when it begins again.
const LOG_LIMIT: i64 = 64 << 20;

/// Opens connections to one file.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    path: PathBuf,
    durability: Durability,
    cache_size: u32,
    busy_timeout: Duration,
    checkpoint: bool,
}

impl Connector {
    /// Of the file at `path`, which has been resolved.
    pub(crate) fn new(path: PathBuf, config: &SqliteConfig) -> Self {
        let SqliteConfig { durability, cache_size, busy_timeout, checkpoint, .. } = *config;
        Self { path, durability, cache_size, busy_timeout, checkpoint }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A connection without settings, which changes nothing in the file.
    pub(crate) fn look(&self) -> rusqlite::Result<Connection> {
        // No `SQLITE_OPEN_CREATE`: a file that went away is not made again, empty. The threads share
        // no connection, so the engine needs no locks of its own for it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        Ok(connection)
    }

    /// The connection of the writer.
    pub(crate) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.with_settings()?;
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // What is deleted is overwritten, and nothing of it stays in the file.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
        // The writer does that itself, after its answers.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // Statements of the schema that a damaged or forged file may have cannot reach anything else.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !self.checkpoint)?;
        Ok(connection)
    }

    /// A connection that only reads. The file is open for writing all the same, because readers keep
    /// marks beside the log.
    pub(crate) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.with_settings()?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !self.checkpoint)?;
        Ok(connection)
    }

    fn with_settings(&self) -> rusqlite::Result<Connection> {
        let connection = self.look()?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // A negative number is in KiB.
        let cache_size = -i64::from(self.cache_size) * 1024;
        connection.pragma_update(None, "cache_size", cache_size)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // Damaged pages are found when they are read, and not by what follows from them.
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    }
}
