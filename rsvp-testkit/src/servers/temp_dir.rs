//! The folder of all servers of one test process, and the watchdog that removes it.

use std::fs::{Permissions, canonicalize};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// The folder and the watchdog. Both must outlive every server of this process.
///
/// A killed process runs no destructors, and the destructors of statics never run.
/// The watchdog is a shell. The end of its standard input tells it the end of this process.
/// `PR_SET_PDEATHSIG` is no replacement: it fires at the end of the spawning *thread*,
/// misses the children of the server, cannot wake a paused one, and removes no files.
#[derive(Debug)]
struct ProcessDir {
    path: PathBuf,
    /// Keeps the pipe open.
    _watchdog: Child,
}

/// Returns the folder with the working folders of every server of this process.
pub(super) fn process_dir() -> &'static Path {
    static DIR: OnceLock<ProcessDir> = OnceLock::new();
    &DIR.get_or_init(create_process_dir).path
}

fn create_process_dir() -> ProcessDir {
    let folder = tempfile::Builder::new()
        .prefix("rsvp-servers-")
        // Servers may run as another user. This user needs to reach its own folder below this one.
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .expect("a temporary folder for servers");
    // /proc shows working folders with resolved links, so resolve them here, too.
    let path = canonicalize(folder.path()).expect("the temporary folder's real path");
    let watchdog = Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at a terminal goes to the process group of the test. The watchdog must survive it.
        .process_group(0)
        .spawn()
        .expect("a shell that watches over the servers");
    // From here on the watchdog removes the folder, and not its handle.
    let _ = folder.keep();
    ProcessDir { path, _watchdog: watchdog }
}

/// Makes a new folder for one server. It is removed on drop.
pub(super) fn new_folder(kind: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("{kind}-"))
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in(process_dir())
        .expect("a folder for a server")
}
