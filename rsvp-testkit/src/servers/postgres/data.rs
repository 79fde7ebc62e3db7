//! The data folder of a server: its source and its removal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::installation::Installation;
use crate::servers::client;
use crate::servers::temp_dir::new_folder;

/// The bound on writing a whole data folder, on a busy machine too.
const COPY_LIMIT: Duration = Duration::from_secs(120);

/// Copies a fresh, empty database cluster to `data`.
///
/// `initdb` takes over a second, so it runs once in a process.
pub(super) fn copy_template(data: &Path) {
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--reflink=auto"]).arg(template()).arg(data);
    client::run(copy, "", COPY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
}

fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let installation = Installation::get();
        // The watchdog removes it. Later servers need it until the process ends.
        let folder = new_folder("template").keep();
        installation.give(&folder);
        let data = folder.join("data");
        let mut initdb = installation.command("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            // A template need not survive a crash of the machine.
            .arg("--no-sync")
            .arg("--pgdata")
            .arg(&data);
        client::run(initdb, "", COPY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
        data
    })
}

/// Fills `data` with a base backup of the running server with its socket in `sockets`.
pub(super) fn copy_running(data: &Path, sockets: &Path, port: u16) {
    let mut backup = Installation::get().command("pg_basebackup");
    backup
        .args(["--username=postgres", "--no-password", "--checkpoint=fast", "--wal-method=stream"])
        .arg("--no-sync")
        .arg("--host")
        .arg(sockets)
        .arg("--port")
        .arg(port.to_string())
        .arg("--pgdata")
        .arg(data);
    client::run(backup, "", COPY_LIMIT).unwrap_or_else(|error| panic!("{error}"));
}

/// Removes the data folder of a killed server, with its shared memory segment.
///
/// A killed server leaves the small System V segment that guards its folder.
/// A machine has 4,096 of them. Only a restart of the server, or this function, removes it.
pub(super) fn remove(data: &Path) {
    if let Some(segment) = shared_memory_segment(data) {
        let _ = Command::new("ipcrm").args(["-m", &segment]).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(data);
}

/// Returns the key and the id of the segment, the seventh line of `postmaster.pid`.
fn shared_memory_segment(data: &Path) -> Option<String> {
    // The file has a fixed order of lines. See `miscadmin.h` of Postgres.
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Some(pid_file.lines().nth(6)?.split_whitespace().nth(1)?.to_owned())
}

/// Returns whether the running server with process id `id` accepts connections.
///
/// As `pg_ctl --wait` does, it reads the state in the eighth line of the server's file.
pub(super) fn is_ready(data: &Path, id: u32) -> bool {
    let Ok(pid_file) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = pid_file.lines();
    // A file of an earlier, killed server may still be there.
    let own = lines.next().is_some_and(|line| line.trim() == id.to_string());
    own && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}
