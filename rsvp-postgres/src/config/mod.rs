//! The settings of a store, such as its servers, tables and timeouts.

mod libpq;
mod passwords;
mod url;

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::backend::{check_range, check_timeout};
use rsvp_core::url::{Host, Secret};
use rsvp_core::{Error, Result};

pub(crate) use self::passwords::Provider;
pub use self::passwords::{Login, PasswordError, PasswordProvider};

/// The port of a server that is given without one.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// The name of the Postgres schema of the tables. Its letters need no escaping in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    fn new(name: &str) -> Result<Self> {
        // The server cuts longer names off, and reserves the prefix `pg_`.
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

    /// The name in SQL. The quotes are needed because some words are reserved.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// The encryption of a connection, as `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    #[cfg(feature = "tls")]
    Allow,
    #[cfg(feature = "tls")]
    Prefer,
    #[cfg(feature = "tls")]
    Require,
    #[cfg(feature = "tls")]
    VerifyCa,
    #[cfg(feature = "tls")]
    VerifyFull,
}

/// The TCP keepalives of the server, in seconds and number of probes.
/// They find clients that are gone, and keep firewalls from forgetting a silent connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalives {
    pub(crate) idle: u16,
    pub(crate) interval: u16,
    pub(crate) count: u16,
}

impl Default for Keepalives {
    fn default() -> Self {
        Self { idle: 30, interval: 10, count: 3 }
    }
}

/// The settings of a [`PostgresStore`](crate::PostgresStore).
///
/// A URL gives the first settings, and methods change them.
/// A wrong setting is an error of the URL, or of the opening of the store.
/// `Debug` never shows the password.
///
/// ```
/// use std::time::Duration;
/// use rsvp_postgres::PostgresConfig;
///
/// let config = PostgresConfig::from_url("postgres://app:secret@db1,db2:5433/tickets")?
///     .with_pool_size(20)
///     .with_statement_timeout(Duration::from_secs(2))
///     .with_replica("replica1:5432");
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// Takes precedence over `password`.
    pub(crate) password_provider: Option<Provider>,
    pub(crate) database: String,
    /// Not checked yet. See [`schema_name`](Self::schema_name).
    schema: String,
    pub(crate) application_name: String,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) acquire_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_cert: Option<String>,
    pub(crate) ssl_cert: Option<String>,
    pub(crate) ssl_key: Option<String>,
    /// Options of the start-up packet for a proxy. None of them is a setting of the session.
    pub(crate) startup_options: Vec<(String, String)>,
    pub(crate) keepalives: Option<Keepalives>,
    /// `None` stands for a malformed host. Its text may hold a password, so it is not kept.
    replicas: Vec<Option<Host>>,
    pub(crate) migrate: bool,
    pub(crate) transaction_pooler: bool,
}

impl PostgresConfig {
    fn new(hosts: &[Host], user: &str, database: &str) -> Self {
        // Each with its port, so that `Debug` shows the address of each connection.
        let hosts = hosts.iter().map(|host| host.clone().with_default_port(DEFAULT_PORT)).collect();
        Self {
            hosts,
            user: user.to_owned(),
            password: None,
            password_provider: None,
            database: database.to_owned(),
            schema: "rsvp".to_owned(),
            application_name: "rsvp".to_owned(),
            pool_size: 10,
            connect_timeout: Duration::from_secs(2),
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(1),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            startup_options: Vec::new(),
            keepalives: Some(Keepalives::default()),
            replicas: Vec::new(),
            migrate: false,
            transaction_pooler: false,
        }
    }

    /// Sets the password of the login.
    ///
    /// ```
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// /// Reads the password from a file, such as a mounted secret.
    /// fn configure(path: &str) -> Result<PostgresConfig, Box<dyn std::error::Error>> {
    ///     let config = PostgresConfig::from_url("postgres://app@db.example/tickets")?;
    ///     Ok(config.with_password(std::fs::read_to_string(path)?.trim_end()))
    /// }
    /// ```
    #[must_use]
    pub fn with_password(self, password: impl Into<String>) -> Self {
        Self { password: Some(Secret::new(password)), ..self }
    }

    /// Asks `provider` for the password of each new connection.
    /// Defaults to the password of the URL. [`PasswordProvider`] has an example.
    #[must_use]
    pub fn with_password_provider(self, provider: impl PasswordProvider) -> Self {
        Self { password_provider: Some(Provider(Arc::new(provider))), ..self }
    }

    /// Sets the Postgres schema of the tables. Defaults to `rsvp`.
    ///
    /// The name has 1 to 63 lower-case letters, digits and underscores.
    /// It must not begin with a digit or with `pg_`.
    ///
    /// ```
    /// use rsvp_postgres::{PostgresConfig, schema_sql};
    ///
    /// let config = PostgresConfig::from_url("postgres://db/tickets")?.with_schema("tickets");
    /// assert!(schema_sql(&config)?.contains(r#"CREATE SCHEMA IF NOT EXISTS "tickets""#));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    /// Sets the name of the connections in `pg_stat_activity`. Defaults to `rsvp`.
    #[must_use]
    pub fn with_application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// Limits the connections to the primary, and to each replica, within 1 to 1,000.
    /// Defaults to 10. Of several connections to the primary, a fifth is left to reads.
    ///
    /// The store opens up to two more connections to each server, to stop calls in time.
    /// Their name ends with `control`.
    /// The connection limit of the role must leave room for them.
    ///
    /// ```
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// // 8 processes of a service share the 200 connections of a role.
    /// let config = PostgresConfig::from_url("postgres://app:secret@db/tickets")?
    ///     .with_pool_size(200 / 8 - 2);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_pool_size(self, size: usize) -> Self {
        Self { pool_size: size, ..self }
    }

    /// Limits the wait for a connection to one host, within 1 ms to 1 h. Defaults to 2 s.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Limits the wait of a call for a free connection, or for a place among the writes,
    /// within 1 ms to 1 h. Then the call is refused as [`Error::Overloaded`]. Defaults to 2 s.
    #[must_use]
    pub fn with_acquire_timeout(self, timeout: Duration) -> Self {
        Self { acquire_timeout: timeout, ..self }
    }

    /// Works through a pooler in transaction mode. Defaults to off.
    ///
    /// Such poolers lend a session for one transaction at a time.
    /// Examples are PgBouncer with `pool_mode = transaction`,
    /// and the pooled endpoints of Neon, Supabase and RDS Proxy.
    /// A pooler in session mode needs nothing.
    ///
    /// Every call is then a transaction with its own settings.
    /// It takes four round trips instead of one.
    /// No call relies on a prepared statement or a setting of the session.
    ///
    /// ```
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::from_url("postgres://app:secret@pgbouncer:6432/tickets")?
    ///     .with_transaction_pooler();
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_transaction_pooler(self) -> Self {
        Self { transaction_pooler: true, ..self }
    }

    /// Limits the time of a statement, within 1 ms to 1 h. Defaults to 5 s.
    ///
    /// Then the server rolls back, so the call has certainly no effect.
    /// If the server does not report it within another second, the store stops the call
    /// in the steps of [`PostgresStore`](crate::PostgresStore#time).
    /// An earlier deadline stops the call earlier.
    #[must_use]
    pub fn with_statement_timeout(self, timeout: Duration) -> Self {
        Self { statement_timeout: timeout, ..self }
    }

    /// Limits the wait of a write for a lock of another session, within 1 ms to 1 h.
    /// Defaults to 1 s.
    ///
    /// Then the write fails as [`Error::TimedOut`], without any effect.
    /// Other writes of its batch go on.
    /// A write close to its deadline gives up earlier.
    #[must_use]
    pub fn with_lock_timeout(self, timeout: Duration) -> Self {
        Self { lock_timeout: timeout, ..self }
    }

    /// Adds a read replica at `host` or `host:port`, with the credentials and the database of the
    /// primary. Defaults to none.
    ///
    /// ```
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// let config = PostgresConfig::from_url("postgres://app:secret@db1,db2/tickets")?
    ///     .with_replica("replica1")
    ///     .with_replica("replica2:5433");
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_replica(mut self, host: &str) -> Self {
        let host = host.parse::<Host>().map(|host| host.with_default_port(DEFAULT_PORT));
        self.replicas.push(host.ok());
        self
    }

    /// Returns the replicas, without the malformed ones.
    pub(crate) fn replica_hosts(&self) -> impl Iterator<Item = &Host> {
        self.replicas.iter().flatten()
    }

    /// Returns the name of the schema.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `schema` if it is illegal.
    pub(crate) fn schema_name(&self) -> Result<SchemaName> {
        SchemaName::new(&self.schema)
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field of the first wrong setting.
    pub(crate) fn check(&self) -> Result<()> {
        self.schema_name()?;
        check_range("pool_size", self.pool_size, 1..=1000)?;
        check_timeout("connect_timeout", self.connect_timeout)?;
        check_timeout("acquire_timeout", self.acquire_timeout)?;
        check_timeout("statement_timeout", self.statement_timeout)?;
        check_timeout("lock_timeout", self.lock_timeout)?;
        if self.replicas.contains(&None) {
            return Err(Error::invalid_input("replica", "is not a host, or a host:port"));
        }
        Ok(())
    }
}

fn override_with<T>(setting: &mut T, parameter: Option<T>) {
    if let Some(value) = parameter {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_when_the_configuration_is_checked() {
        let config = || PostgresConfig::new(&[], "app", "tickets");
        assert!(config().with_replica("r").check().is_ok());
        let (none, long) = (Duration::ZERO, Duration::from_secs(3601));
        for (config, field) in [
            (config().with_schema("a; DROP"), "schema"),
            (config().with_pool_size(0), "pool_size"),
            (config().with_pool_size(1001), "pool_size"),
            (config().with_connect_timeout(none), "connect_timeout"),
            (config().with_acquire_timeout(long), "acquire_timeout"),
            (config().with_statement_timeout(none), "statement_timeout"),
            (config().with_lock_timeout(none), "lock_timeout"),
            (config().with_replica("hunter2:x").with_replica("r"), "replica"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {field}: ")), "{error}");
            assert!(!format!("{error} {config:?}").contains("hunter2"), "{error} {config:?}");
        }
    }
}
