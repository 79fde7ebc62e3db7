//! The installed Postgres binaries.

use std::env;
use std::fs::{self, canonicalize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::unprivileged;

/// The environment variable with the folder of the programs.
/// Defaults to the newest installed version.
const BIN: &str = "RSVP_POSTGRES_BIN";

/// The folder of Debian and Ubuntu, outside of `PATH`, with one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

#[derive(Debug)]
pub(super) struct Installation {
    bin: PathBuf,
}

impl Installation {
    /// Returns the installation named by the environment, or the newest installed version.
    pub(super) fn get() -> &'static Self {
        static FOUND: OnceLock<Installation> = OnceLock::new();
        FOUND.get_or_init(|| {
            if let Some(bin) = env::var_os(BIN).map(PathBuf::from) {
                assert!(version(&bin).is_some(), "no Postgres server in {}", bin.display());
                return Self { bin };
            }
            // Use the newest of several installed versions.
            let (_, bin) = candidates()
                .into_iter()
                .filter_map(|bin| Some((version(&bin)?, bin)))
                .max()
                .expect("no Postgres server found in PATH or /usr/lib/postgresql/*/bin: apt-get install postgresql");
            Self { bin }
        })
    }

    /// Returns a command for one of the programs, run as the server's user.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = unprivileged::command(self.bin.join(program));
        // Remove the developer's own settings, such as PGHOST or PGOPTIONS.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Gives a file or folder to the server's user.
    pub(super) fn give(&self, path: &Path) {
        unprivileged::give(path);
    }
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        // Follow a link in PATH to the folder of the other programs.
        .filter_map(|folder| canonicalize(folder.join("postgres")).ok())
        .filter_map(|server| Some(server.parent()?.to_owned()))
        .filter(|bin| {
            ["initdb", "pg_basebackup", "psql"].iter().all(|name| bin.join(name).exists())
        })
        .collect()
}

/// Returns the major version: 15 for `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split(") ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
