//! The installed Postgres binaries.

use std::env;
use std::fs::{self, canonicalize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::unprivileged;

/// The environment variable with the folder of the programs to use. Defaults to the newest version
/// that is installed.
const BIN: &str = "RSVP_POSTGRES_BIN";

/// Where Debian and Ubuntu keep one folder for each version, outside `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

#[derive(Debug)]
pub(super) struct Installation {
    bin: PathBuf,
}

impl Installation {
    /// The one that the environment names, or else the newest installed version.
    pub(super) fn get() -> &'static Self {
        static FOUND: OnceLock<Installation> = OnceLock::new();
        FOUND.get_or_init(|| {
            if let Some(bin) = env::var_os(BIN).map(PathBuf::from) {
                assert!(version(&bin).is_some(), "no Postgres server in {}", bin.display());
                return Self { bin };
            }
            let (_, bin) = candidates()
                .into_iter()
                .filter_map(|bin| Some((version(&bin)?, bin)))
                .max()
                .expect("no Postgres server found in PATH or /usr/lib/postgresql/*/bin: apt-get install postgresql");
            Self { bin }
        })
    }

    /// A command that runs one of the binaries as the server's user.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = unprivileged::command(self.bin.join(program));
        // Settings of the developer's own, PGHOST or PGOPTIONS for instance, are not the tests'.
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
        // A link in PATH leads to the folder where the other programs are.
        .filter_map(|folder| canonicalize(folder.join("postgres")).ok())
        .filter_map(|server| Some(server.parent()?.to_owned()))
        .filter(|bin| {
            ["initdb", "pg_basebackup", "psql"].iter().all(|name| bin.join(name).exists())
        })
        .collect()
}

/// The major version: 15 of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split(") ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
