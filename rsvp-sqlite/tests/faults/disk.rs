//! A disk of a kind that tests can break: see `disk.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/disk.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&path, Path::new(source)])
            .arg("-ldl")
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "apt-get install build-essential");
        (folder, path)
    });
    path
}

/// The folders of a disk.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["live", "durable", "faults"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    pub(crate) fn durable(&self) -> PathBuf {
        self.folder.path().join("durable")
    }

    pub(crate) fn faults(&self) -> PathBuf {
        self.folder.path().join("faults")
    }

    /// The file of the store on this disk.
    pub(crate) fn file(&self) -> PathBuf {
        self.live().join("rsvp.db")
    }

    /// Lets a process use this disk.
    pub(crate) fn under<'a>(&self, command: &'a mut Command, seed: u64) -> &'a mut Command {
        command
            .env("LD_PRELOAD", library())
            .env("DISK_LIVE", self.live())
            .env("DISK_DURABLE", self.durable())
            .env("DISK_FAULTS", self.faults())
            .env("DISK_SEED", seed.to_string())
    }

    /// The power comes back: only what is durable is there.
    pub(crate) fn restart(&self) {
        fs::remove_dir_all(self.live()).unwrap();
        copy(&self.durable(), &self.live());
    }

    /// What the live files hold is durable, as after a shutdown.
    pub(crate) fn settle(&self) {
        fs::remove_dir_all(self.durable()).unwrap();
        copy(&self.live(), &self.durable());
    }
}

/// Copies the files of a folder but for empty ones, of which the disk keeps some that are none.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if file.metadata().unwrap().len() > 0 {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// Switches a fault of the disk on or off, within a process that uses it.
pub(crate) fn set_fault(name: &str, on: bool) {
    let path = PathBuf::from(std::env::var_os("DISK_FAULTS").unwrap()).join(name);
    if on {
        fs::write(path, "").unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}
