//! The lock of the owner of the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// The time between two attempts to acquire the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// The number of bytes in a write of [`OwnerLock::probe`].
const PROBE: usize = 8192;

/// Another store owns the file.
#[derive(Debug, thiserror::Error)]
#[error(
    "another store, of this process or another one, has {} open: one process owns the file, and \
     others read it with `sqlite3`",
    path.display()
)]
pub(crate) struct Owned {
    path: PathBuf,
}

/// The lock of a file.
///
/// It is an advisory lock of the system (`flock`) on a second file with the suffix `-lock`.
/// The system releases the lock when the process ends, even after a crash. The second file stays.
///
/// The lock is not on the file itself. SQLite uses POSIX locks, and these belong to the process.
/// Closing a second handle to the file would release them.
#[derive(Debug)]
pub(crate) struct OwnerLock {
    file: Mutex<File>,
}

/// Why the lock was not acquired.
#[derive(Debug)]
pub(crate) enum LockFailure {
    Owned(Owned),
    System(io::Error),
}

impl OwnerLock {
    /// Locks the file at `path`, and waits at most for the duration `patience`.
    /// It blocks the thread.
    pub(crate) fn acquire(path: &Path, patience: Duration) -> Result<Self, LockFailure> {
        let lock_path = super::file::beside(path, "-lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&lock_path).map_err(LockFailure::System)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file: Mutex::new(file) }),
                Err(TryLockError::WouldBlock) if since.elapsed() < patience => {
                    #[expect(clippy::disallowed_methods, reason = "on a thread that may block")]
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockFailure::Owned(Owned { path: path.to_owned() }));
                }
                Err(TryLockError::Error(error)) => return Err(LockFailure::System(error)),
            }
        }
    }

    /// Checks that the disk has room and takes writes, for a store that has nothing to write.
    ///
    /// It writes to the second file, syncs it and truncates it again.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = Self::write_block(&mut file);
        file.set_len(0)?;
        written
    }

    fn write_block(file: &mut File) -> io::Result<()> {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0; PROBE])?;
        file.sync_data()
    }
}
