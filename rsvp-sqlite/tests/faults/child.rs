//! This test program as another process: what it runs there are tests that are ignored here.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rsvp_sqlite::SqliteConfig;

/// The process that runs the test of this name, with its file at `path`.
pub(crate) fn command(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("STORE", path);
    command
}

/// The configuration of the store in this process; nothing if it is not such a process.
pub(crate) fn config() -> Option<SqliteConfig> {
    Some(SqliteConfig::new(std::env::var_os("STORE")?))
}

/// A process that is killed when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
