//! The folder of all servers that one test process starts, and the watchdog that removes it.

use std::fs::{Permissions, canonicalize};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// The folder and the watchdog, which have to outlive every server of this process.
///
/// Destructors do not run when a process is killed, and those of statics never do. The watchdog is
/// a shell that notices the end of this process by the end of its standard input. `PR_SET_PDEATHSIG`
/// would not do: it fires when the spawning *thread* ends, misses the children of the server, cannot
/// wake a paused one, and removes no files.
#[derive(Debug)]
struct ProcessDir {
    path: PathBuf,
    /// Holds the pipe open.
    _watchdog: Child,
}

/// The folder below which every server of this process works.
pub(super) fn process_dir() -> &'static Path {
    static DIR: OnceLock<ProcessDir> = OnceLock::new();
    &DIR.get_or_init(create_process_dir).path
}

fn create_process_dir() -> ProcessDir {
    let folder = tempfile::Builder::new()
        .prefix("rsvp-servers-")
        // Servers may run as another user, who has to get through to a folder of its own.
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .expect("a temporary folder for servers");
    // Compared with what /proc says about working folders, where links are resolved.
    let path = canonicalize(folder.path()).expect("the temporary folder's real path");
    let watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at a terminal goes to the whole group of the test process.
        .process_group(0)
        .spawn()
        .expect("a shell that watches over the servers");
    let _ = folder.keep();
    ProcessDir { path, _watchdog: watchdog }
}

/// A new folder for one server, removed when dropped.
pub(super) fn new_folder(kind: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("{kind}-"))
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in(process_dir())
        .expect("a folder for a server")
}
