//! The files of a store, and their identity.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Returns `path` with a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates an empty file unless it exists.
///
/// It never opens an existing file. Closing it would release the locks of other connections of this
/// process to the same file, because POSIX locks belong to the process.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => sync_folder(&fs::canonicalize(path)?),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Syncs the folder of a file, so that its name survives the loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        // The parent of the plain name `rsvp.db` is an empty path.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The file of the store, or its log, is no longer at its path.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not the file that was opened: put it back where it was, or close the store and open it \
     again",
    path.display()
)]
pub(crate) struct Gone {
    path: PathBuf,
}

/// The identity of the file and of its log.
///
/// A file can be removed or replaced while it is open. Writes to it are then lost, and SQLite does
/// not notice. So the store compares the files at the paths with the opened ones.
#[derive(Debug)]
pub(crate) struct Identity {
    file: (PathBuf, FileId),
    log: (PathBuf, FileId),
}

impl Identity {
    /// Reads the identity of the existing file and log.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let log = beside(path, "-wal");
        let (file_id, log_id) = (FileId::of(path)?, FileId::of(&log)?);
        Ok(Self { file: (path.to_owned(), file_id), log: (log, log_id) })
    }

    /// Accepts the present log as the log of the store, after a new connection has opened it.
    /// The last connection to close may have removed the earlier log.
    pub(crate) fn renew_log(&mut self) -> io::Result<()> {
        self.log.1 = FileId::of(&self.log.0)?;
        Ok(())
    }

    /// Checks that the opened files are still at their paths.
    pub(crate) fn check(&self) -> Result<(), Gone> {
        for (path, id) in [&self.file, &self.log] {
            // A missing file has no identity, and fails as a different file does.
            if FileId::of(path).ok().as_ref() != Some(id) {
                return Err(Gone { path: path.clone() });
            }
        }
        Ok(())
    }
}

/// The device and the inode of a file. On systems other than Unix it only tells that a file exists.
#[derive(Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;

        let metadata = fs::metadata(path)?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path)?;
        Ok(Self(0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        for path in [path.clone(), beside(&path, "-wal")] {
            fs::write(path, "here").unwrap();
        }
        let identity = Identity::of(&path).unwrap();
        identity.check().unwrap();
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        identity.check().unwrap_err();
        fs::write(&path, "here").unwrap();
        identity.check().unwrap_err();
        fs::rename(&away, &path).unwrap();
        identity.check().unwrap();
    }

    #[test]
    fn a_file_is_created_once_and_its_folder_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        create(&path).unwrap();
        fs::write(&path, "here").unwrap();
        create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"here");
        create(&folder.path().join("none/a.db")).unwrap_err();
    }
}
