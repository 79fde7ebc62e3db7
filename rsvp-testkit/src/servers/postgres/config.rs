//! The configuration files of a server.
//! They are outside of its data folder, so that a base backup does not copy one server's settings
//! to another.

use std::fmt::{self, Debug, Formatter, Write};
use std::fs;
use std::path::Path;

use super::installation::Installation;

/// The settings of a server by a test.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) settings: Vec<(String, String)>,
    pub(super) password: Option<String>,
}

impl Options {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }
}

/// Hides the password, so that a test of leaked passwords does not find one leaked by its tools.
impl Debug for Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("settings", &self.settings)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Durable, because tests check a store's promises. Small, because many servers run at once.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
max_connections = 200
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = replica
hot_standby = on
# Files below the data folder go with it, POSIX shared memory would stay after a SIGKILL.
dynamic_shared_memory_type = mmap
log_checkpoints = off
log_min_messages = warning
timezone = 'UTC'
";

/// Writes `server.conf` and `access.conf` to `folder`.
pub(super) fn write(folder: &Path, port: u16, options: &Options, primary: Option<&str>) {
    let mut text = SETTINGS.to_owned();
    let own = [
        ("port", port.to_string()),
        ("unix_socket_directories", folder.display().to_string()),
        ("hba_file", folder.join("access.conf").display().to_string()),
    ];
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let chosen = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let standby = primary.map(|address| ("primary_conninfo", address));
    // The last value of a setting wins, so the settings of a test come last.
    for (name, value) in own.chain(standby).chain(chosen) {
        writeln!(text, "{name} = '{}'", value.replace('\'', "''")).expect("a string takes text");
    }
    let method = if options.password.is_some() { "scram-sha-256" } else { "trust" };
    // The sockets are in the server's folder, and only this module uses them.
    let access = format!(
        "local all all trust\n\
         local replication all trust\n\
         host all all 127.0.0.1/32 {method}\n\
         host replication all 127.0.0.1/32 {method}\n"
    );
    for (name, text) in [("server.conf", text), ("access.conf", access)] {
        let path = folder.join(name);
        fs::write(&path, text).expect("the server's folder takes its configuration");
        Installation::get().give(&path);
    }
}
