//! The configuration file of a server.

use std::fmt::{self, Debug, Formatter, Write};
use std::fs;
use std::path::{Path, PathBuf};

/// The writes that survive the kill of a Redis server.
///
/// ```no_run
/// use rsvp_testkit::servers::{Persistence, RedisServer};
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = RedisServer::builder().persistence(Persistence::None).start().await;
/// server.command(&["SET", "key", "value"]).await;
/// server.restart().await;
/// assert_eq!(server.command(&["EXISTS", "key"]).await, "0");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// None. The server starts again empty.
    None,
    /// All but the last second or so (`appendfsync everysec`).
    EverySecond,
    /// Every acknowledged write (`appendfsync always`).
    #[default]
    Always,
}

/// The PEM files of a TLS server, and of its clients.
///
/// The server asks every client for a certificate, as Redis does by default, and accepts its own.
///
/// ```no_run
/// use rsvp_testkit::servers::{RedisServer, RedisTls};
///
/// # #[tokio::main]
/// # async fn main() {
/// let path = |name: &str| std::env::temp_dir().join(name);
/// let files = RedisTls { ca: path("ca.pem"), certificate: path("cert.pem"), key: path("key.pem") };
/// let server = RedisServer::builder().tls(files).start().await;
/// assert!(server.url().starts_with("rediss://"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisTls {
    /// The root certificate.
    pub ca: PathBuf,
    /// The certificate for 127.0.0.1.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The settings by a test, and those added by a cluster or pair.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) persistence: Persistence,
    pub(super) password: Option<String>,
    pub(super) tls: Option<RedisTls>,
    pub(super) settings: Vec<(String, String)>,
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
            .field("persistence", &self.persistence)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("tls", &self.tls)
            .field("settings", &self.settings)
            .finish()
    }
}

/// Writes the configuration of a server on `port` to `path`.
///
/// A replica of the server on port `primary` follows from its first moment.
/// A server that became a replica later would accept writes until then.
pub(super) fn write(path: &Path, port: u16, options: &Options, primary: Option<u16>) {
    let (append, sync) = match options.persistence {
        Persistence::None => ("no", "everysec"),
        Persistence::EverySecond => ("yes", "everysec"),
        Persistence::Always => ("yes", "always"),
    };
    let port = port.to_string();
    let mut lines = vec![("bind", "127.0.0.1")];
    match &options.tls {
        None => lines.push(("port", &port)),
        Some(RedisTls { ca, certificate, key }) => {
            lines.extend([
                ("port", "0"),
                ("tls-port", &port),
                ("tls-ca-cert-file", utf8(ca)),
                ("tls-cert-file", utf8(certificate)),
                ("tls-key-file", utf8(key)),
                ("tls-replication", "yes"),
                ("tls-cluster", "yes"),
            ]);
        }
    }
    lines.extend([
        ("daemonize", "no"),
        // The log goes to the output.
        ("logfile", ""),
        ("save", ""),
        ("appendonly", append),
        ("appendfsync", sync),
        // A replica need not wait for others, because they come one at a time here.
        ("repl-diskless-sync-delay", "0"),
    ]);
    if let Some(password) = &options.password {
        lines.extend([("requirepass", password.as_str()), ("masterauth", password)]);
    }
    lines.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut text = String::new();
    for (name, value) in lines {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(text, "{name} \"{value}\"").expect("a string takes text");
    }
    if let Some(primary) = primary {
        writeln!(text, "replicaof 127.0.0.1 {primary}").expect("a string takes text");
    }
    fs::write(path, text).expect("the server's folder takes its configuration");
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
