//! The settings of a store: its file, its durability and its bounds.

mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rsvp_core::backend::{check_range, check_timeout};
use rsvp_core::{Error, Result};

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The loss of power, and everything below. Each transaction ends with a sync of the log
    /// (`synchronous = FULL`).
    #[default]
    Full,
    /// `kill -9` of the process, but not the loss of power, nor a crash of the system: the writes
    /// since the last checkpoint can be lost, the file stays intact (`synchronous = NORMAL`).
    Normal,
}

/// The settings of a [`SqliteStore`](crate::SqliteStore).
///
/// A path or a URL gives the first settings, and methods change them. A setting that is wrong is
/// reported when the store is opened, or by the URL that has it.
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
    /// The settings of a store in the file at `path`.
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

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file that does not exist is created. Its folder never is. Defaults to true.
    #[must_use]
    pub fn with_create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// What an acknowledged write survives. Defaults to [`Durability::Full`].
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The most memory for pages that each connection keeps, in MiB, within 1 to 65,536. There is
    /// one connection that writes, and one for each reader. Defaults to 32. The system caches the
    /// file, too.
    #[must_use]
    pub fn with_cache_size(self, mebibytes: u32) -> Self {
        Self { cache_size: mebibytes, ..self }
    }

    /// The longest time to wait for a lock that another process holds, within 1 ms to 1 h: of the
    /// store that has the file when this one opens, and of a program that writes to the file, such
    /// as `sqlite3`. Defaults to 5 s.
    #[must_use]
    pub fn with_busy_timeout(self, timeout: Duration) -> Self {
        Self { busy_timeout: timeout, ..self }
    }

    /// The longest time that a call without an earlier deadline takes, within 1 ms to 1 h. Defaults
    /// to 30 s.
    #[must_use]
    pub fn with_call_timeout(self, timeout: Duration) -> Self {
        Self { call_timeout: timeout, ..self }
    }

    /// The number of threads that read, each with a connection of its own, within 1 to 64. Defaults
    /// to 4.
    #[must_use]
    pub fn with_readers(self, readers: usize) -> Self {
        Self { readers, ..self }
    }

    /// The number of entries that may wait for the writer, and as many for the readers, within 1 to
    /// 1,000,000. A call that finds so many is refused as [`Error::Overloaded`]. One that finds
    /// fewer is taken, however large it is. Defaults to 65,536.
    #[must_use]
    pub fn with_queue(self, entries: usize) -> Self {
        Self { queue: entries, ..self }
    }

    /// Whether the store moves its log into the file (checkpoints). Defaults to true. Set it to false
    /// only if another program does so, such as Litestream, because the log grows without bound
    /// otherwise.
    #[must_use]
    pub fn with_checkpoint(self, checkpoint: bool) -> Self {
        Self { checkpoint, ..self }
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field of the first setting that is wrong.
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
