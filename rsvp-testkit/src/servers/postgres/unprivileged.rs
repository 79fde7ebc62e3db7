//! The user for Postgres and PgBouncer. Both refuse to run as root.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Uid, User, geteuid};

/// Returns a command that runs a program as that user.
pub(in crate::servers) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Gives a file or folder to that user.
pub(in crate::servers) fn give(path: &Path) {
    if let Some(user) = user() {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .unwrap_or_else(|error| panic!("chown of {}: {error}", path.display()));
    }
}

/// Returns a user other than root, if root runs the tests.
fn user() -> Option<&'static User> {
    static USER: OnceLock<Option<User>> = OnceLock::new();
    let find = || {
        // Postgres refuses to run as root. Containers often run tests as root.
        if geteuid() != Uid::from_raw(0) {
            return None;
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .expect("a user postgres or nobody, since Postgres does not run as root");
        Some(user)
    };
    USER.get_or_init(find).as_ref()
}
