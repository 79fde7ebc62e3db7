//! How to reach the servers, and how long to wait for them.

mod url;

use std::fmt;
use std::time::Duration;

use rsvp_core::url::{Host, Secret, check_timeout};
use rsvp_core::{Error, Result};

/// Where a server listens whose port is not given.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// With its port, so that `Debug` shows where connections go.
fn with_port(host: Host) -> Host {
    Host { port: host.port.or(Some(DEFAULT_PORT)), ..host }
}

/// The name of the Postgres schema that the tables are in: letters, digits and underscores.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    fn new(name: &str) -> Result<Self> {
        let first =
            name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if first && name.len() <= 63 && name.bytes().all(legal) && !name.starts_with("pg_") {
            Ok(Self(name.to_owned()))
        } else {
            let rule = "is not 1 to 63 lower-case letters, digits and underscores, beginning with \
                        no digit and not with pg_";
            Err(Error::invalid_input("schema", rule))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in SQL, where some words are reserved.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Debug for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a connection is encrypted, as libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    #[cfg(feature = "tls")]
    Prefer,
    #[cfg(feature = "tls")]
    Require,
    #[cfg(feature = "tls")]
    VerifyCa,
    #[cfg(feature = "tls")]
    VerifyFull,
}

/// How a [`PostgresStore`](crate::PostgresStore) reaches its servers.
///
/// Made from a URL, refined by methods. `Debug` never shows the password.
///
/// ```
/// use std::time::Duration;
/// use rsvp_postgres::PostgresConfig;
///
/// let config = PostgresConfig::from_url("postgres://app:secret@db1,db2:5433/tickets")?
///     .with_pool_size(20)?
///     .with_statement_timeout(Duration::from_secs(2))?
///     .with_replica("replica1:5432")?;
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    pub(crate) schema: SchemaName,
    pub(crate) application_name: String,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) acquire_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_cert: Option<String>,
    pub(crate) replicas: Vec<Host>,
    pub(crate) migrate: bool,
}

impl PostgresConfig {
    pub(crate) fn new(hosts: &[Host], user: &str, database: &str) -> Self {
        Self {
            hosts: hosts.iter().cloned().map(with_port).collect(),
            user: user.to_owned(),
            password: None,
            database: database.to_owned(),
            schema: SchemaName("rsvp".to_owned()),
            application_name: "rsvp".to_owned(),
            pool_size: 10,
            connect_timeout: Duration::from_secs(2),
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            replicas: Vec::new(),
            migrate: false,
        }
    }

    /// The password to log in with.
    #[must_use]
    pub fn with_password(self, password: impl Into<String>) -> Self {
        Self { password: Some(Secret::new(password)), ..self }
    }

    /// The Postgres schema of the tables; `rsvp` unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is 1 to 63 lower-case letters, digits and underscores.
    pub fn with_schema(self, schema: &str) -> Result<Self> {
        Ok(Self { schema: SchemaName::new(schema)?, ..self })
    }

    /// What `pg_stat_activity` shows for these connections; `rsvp` unless said otherwise.
    #[must_use]
    pub fn with_application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// The most connections to the primary, and to each replica; 10 unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 1,000.
    pub fn with_pool_size(self, size: usize) -> Result<Self> {
        if !(1..=1000).contains(&size) {
            return Err(Error::invalid_input("pool_size", "is not within 1 to 1000"));
        }
        Ok(Self { pool_size: size, ..self })
    }

    /// How long to try one host for a connection; 2 s unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_connect_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { connect_timeout: check_timeout("connect_timeout", timeout)?, ..self })
    }

    /// How long a call waits for a connection to become free before it is refused as
    /// [`Error::Overloaded`]; 2 s unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_acquire_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { acquire_timeout: check_timeout("acquire_timeout", timeout)?, ..self })
    }

    /// How long a statement may take; 5 s unless said otherwise.
    ///
    /// The server gives up after that and rolls back, so the call has certainly not taken
    /// effect. From a server that has gone silent no answer is awaited for more than a second
    /// longer; then the connection is closed and the effect is unknown.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_statement_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { statement_timeout: check_timeout("statement_timeout", timeout)?, ..self })
    }

    /// Adds a read replica at `host:port`, with the credentials and the database of the primary.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is not a host, or a host and a port.
    pub fn with_replica(mut self, host: &str) -> Result<Self> {
        let host: Result<Host> = host.parse();
        let no_host = |_| Error::invalid_input("replica", "is not a host, or a host:port");
        self.replicas.push(with_port(host.map_err(no_host)?));
        Ok(self)
    }
}
