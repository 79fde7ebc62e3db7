//! Copies a file while another process may have it open.

use std::path::PathBuf;

use rsvp_core::{Deadline, Effect, Error, Operation, Result};

use super::{opening, schema};
use crate::config::SqliteConfig;
use crate::engine::BackupJob;
use crate::store::BACKUP_TIMEOUT;
use crate::wire::call::call;
use crate::wire::connection::Connector;

/// Copies the file of a store to a new file at `to`, and returns the number of bytes.
///
/// Another process may have the store open, and may write to it.
/// The log grows during the copy. In the process of the store, use [`SqliteStore::backup`] instead,
/// where the log stays short.
///
/// The copy shows the store at one moment after the beginning of the call.
/// It is synced to the disk, and opens as any other file of a store. Nothing in the source changes.
/// Until it is complete, the copy has the name `to` with the suffix `-partial`.
/// If the future is dropped, the copy ends and is removed.
///
/// ```
/// use rsvp_core::{EventId, RsvpStore, RsvpStoreExt, UserId};
/// use rsvp_sqlite::{SqliteConfig, SqliteStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # std::env::set_current_dir(&folder)?;
/// let running = SqliteStore::open(SqliteConfig::new("rsvp.db")).await?;
/// running.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
///
/// rsvp_sqlite::backup(SqliteConfig::new("rsvp.db"), "copy.db").await?;
/// let copy = SqliteStore::open(SqliteConfig::new("copy.db")).await?;
/// assert_eq!(copy.rsvp_count(&EventId::new("101a")?).await?.value, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`Error::InvalidInput`] with the field `to` if the file at `to` exists already.
/// - [`Error::InvalidInput`] with the field `path` if the source is missing or is not a store.
/// - [`Error::Unavailable`] if the disk fails, or has no room.
/// - [`Error::Corrupt`] if the file is damaged.
///
/// # Panics
///
/// Outside of a Tokio runtime.
///
/// [`SqliteStore::backup`]: crate::SqliteStore::backup
pub async fn backup(config: SqliteConfig, to: impl Into<PathBuf>) -> Result<u64> {
    config.check()?;
    let to = to.into();
    let (ticket, waiting) = call(Operation::Backup, Deadline::after(BACKUP_TIMEOUT));
    let job = BackupJob { to, ticket };
    let copying = tokio::task::spawn_blocking(move || copy(&config, job));
    copying
        .await
        .map_err(|error| Error::backend(Operation::Backup, Effect::NotApplied, false, error))??;
    waiting.answer().await
}

/// Copies the file on this thread, and answers the caller of the job.
fn copy(config: &SqliteConfig, job: BackupJob) -> Result<()> {
    opening::check_version(rusqlite::version_number(), rusqlite::version())?;
    if job.to.exists() {
        return Err(Error::invalid_input("to", "exists already"));
    }
    let path = opening::resolve(config.path())?;
    // The last connection to close would move the log into the file and remove it.
    // With this setting the log stays for the store.
    let mut config = config.clone();
    config.checkpoint = false;
    let connector = Connector::new(path, &config);
    let failed = opening::engine_failed(Operation::Backup);
    // Look at the file without settings first, because it may belong to another application.
    let looking = connector.look().map_err(failed)?;
    schema::check_present(&looking)?;
    let source = connector.reader().map_err(failed)?;
    drop(looking);
    job.run(&source);
    Ok(())
}
