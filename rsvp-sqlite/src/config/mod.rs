//! The settings of a store, such as its file, its durability and its bounds.

mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rsvp_core::backend::{check_range, check_timeout};
use rsvp_core::{Error, Result};

/// The failures that an acknowledged write survives.
///
/// ```
/// use rsvp_sqlite::{Durability, SqliteConfig};
///
/// // An import can be repeated, so its writes need no sync each.
/// let import = SqliteConfig::new("data/rsvp.db").with_durability(Durability::Normal);
/// let service = SqliteConfig::new("data/rsvp.db").with_durability(Durability::Full);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A write survives the loss of power and a crash of the system or of the process.
    /// Each transaction ends with a sync of the log (`synchronous = FULL`).
    #[default]
    Full,
    /// A write survives `kill -9` of the process (`synchronous = NORMAL`).
    ///
    /// The loss of power and a crash of the system can lose the writes since the last checkpoint.
    /// The file stays intact.
    Normal,
}

/// The settings of a [`SqliteStore`](crate::SqliteStore).
///
/// A path or a URL gives the first settings, and methods change them.
/// [`from_url`](Self::from_url) refuses a wrong setting in its URL.
/// [`SqliteStore::open`](crate::SqliteStore::open) refuses any other.
///
/// ```
/// use std::time::Duration;
/// use rsvp_sqlite::{Durability, SqliteConfig};
///
/// let config = SqliteConfig::new("data/rsvp.db")
///     .with_durability(Durability::Full)
///     .with_readers(4)
///     .with_busy_timeout(Duration::from_secs(2));
/// assert_eq!(config.path().to_str(), Some("data/rsvp.db"));
/// ```
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    path: PathBuf,
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) cache_size: u32,
    pub(crate) busy_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) queue: usize,
    pub(crate) checkpoint: bool,
}

impl SqliteConfig {
    /// Creates the settings of a store in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: true,
            durability: Durability::default(),
            cache_size: 32,
            busy_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            readers: 4,
            queue: 65_536,
            checkpoint: true,
        }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets whether opening creates a missing file. It never creates a folder. Defaults to true.
    #[must_use]
    pub fn with_create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// Sets the durability of an acknowledged write. Defaults to [`Durability::Full`].
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Sets the memory of each connection for pages, in MiB, within 1 to 65,536. Defaults to 32.
    ///
    /// The writer has one connection, and each reader another. The system caches the file, too.
    #[must_use]
    pub fn with_cache_size(self, mebibytes: u32) -> Self {
        Self { cache_size: mebibytes, ..self }
    }

    /// Sets the longest time to wait for a lock of another process, within 1 ms to 1 h.
    /// Defaults to 5 s.
    ///
    /// - When the store opens, another store may own the file.
    /// - Later, another program may write to the file, such as `sqlite3`.
    #[must_use]
    pub fn with_busy_timeout(self, timeout: Duration) -> Self {
        Self { busy_timeout: timeout, ..self }
    }

    /// Sets the longest time of a call without an earlier deadline, within 1 ms to 1 h.
    /// Defaults to 30 s.
    #[must_use]
    pub fn with_call_timeout(self, timeout: Duration) -> Self {
        Self { call_timeout: timeout, ..self }
    }

    /// Sets the number of reader threads, each with a connection of its own, within 1 to 64.
    /// Defaults to 4.
    #[must_use]
    pub fn with_readers(self, readers: usize) -> Self {
        Self { readers, ..self }
    }

    /// Sets the number of entries in the queue of the writer, and in the queue of the readers,
    /// within 1 to 1,000,000. Defaults to 65,536.
    ///
    /// If a queue holds this number or more, a call fails with [`Error::Overloaded`].
    /// A queue with fewer entries takes a call of any size.
    #[must_use]
    pub fn with_queue(self, entries: usize) -> Self {
        Self { queue: entries, ..self }
    }

    /// Sets whether the store moves its log into the file (checkpoints). Defaults to true.
    ///
    /// Set it to false only if another program does so, such as Litestream.
    /// Otherwise the log grows without bound.
    #[must_use]
    pub fn with_checkpoint(self, checkpoint: bool) -> Self {
        Self { checkpoint, ..self }
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field of the first wrong setting.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.path.as_os_str();
        if path.is_empty() {
            return Err(Error::invalid_input("path", "is empty; give the file of the store"));
        }
        if path.as_encoded_bytes().starts_with(b":memory:") {
            let reason = "is no file; the store in memory has the URL `memory:`";
            return Err(Error::invalid_input("path", reason));
        }
        check_range("cache_size", self.cache_size, 1..=65_536)?;
        check_timeout("busy_timeout", self.busy_timeout)?;
        check_timeout("call_timeout", self.call_timeout)?;
        check_range("readers", self.readers, 1..=64)?;
        check_range("queue", self.queue, 1..=1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_when_the_configuration_is_checked() {
        let config = || SqliteConfig::new("rsvp.db");
        config().check().unwrap();
        let (none, long) = (Duration::ZERO, Duration::from_secs(3601));
        for (config, field) in [
            (SqliteConfig::new(""), "path"),
            (SqliteConfig::new(":memory:"), "path"),
            (config().with_cache_size(0), "cache_size"),
            (config().with_busy_timeout(none), "busy_timeout"),
            (config().with_call_timeout(long), "call_timeout"),
            (config().with_readers(0), "readers"),
            (config().with_readers(65), "readers"),
            (config().with_queue(0), "queue"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {field}: ")), "{error}");
        }
    }
}
