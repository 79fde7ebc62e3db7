//! Connections to the file, and their settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::config::{Durability, SqliteConfig};

/// The maximum number of prepared statements in a connection. It is enough for all of them.
const STATEMENTS: usize = 64;

/// A larger log is cut back to this size, in bytes, when it begins again.
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
    /// Creates a connector to the file at the canonical `path`.
    pub(crate) fn new(path: PathBuf, config: &SqliteConfig) -> Self {
        let SqliteConfig { durability, cache_size, busy_timeout, checkpoint, .. } = *config;
        Self { path, durability, cache_size, busy_timeout, checkpoint }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a connection without settings. It changes nothing in the file.
    pub(crate) fn look(&self) -> rusqlite::Result<Connection> {
        // Without `SQLITE_OPEN_CREATE` a lost file is not replaced by an empty one.
        // Threads share no connection, so SQLite needs no mutex for it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        Ok(connection)
    }

    /// Opens the connection of the writer.
    pub(crate) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.with_settings()?;
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Deleted rows are overwritten with zeros, so that erased names leave the file.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
        // The writer moves the log itself, after its answers.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // A forged file may have triggers and views.
        // They must not call functions with side effects.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !self.checkpoint)?;
        Ok(connection)
    }

    /// Opens a read-only connection.
    /// The file is open for writing all the same, because readers keep marks beside the log.
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
        // SQLite takes a negative number for KiB, and a positive one for pages.
        let cache_size = -i64::from(self.cache_size) * 1024;
        connection.pragma_update(None, "cache_size", cache_size)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // A damaged page is reported when it is read, and not after a wrong answer.
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    }
}
