//! The settings of a store: its servers, its tables and its timeouts.

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

/// The port of a server whose port is not given.
pub(crate) const DEFAULT_PORT: u16 = 5432;

/// The name of the Postgres schema of the tables. Its letters need no escaping in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The name in SQL. The quotes are needed because some words are reserved.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// The encryption of a connection, as libpq's `sslmode`.
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

/// When the server looks whether the other end of a silent connection is there, in seconds, and how
/// often it does so in vain. It keeps firewalls from forgetting connections, too.
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
/// A URL gives the first settings, and methods change them. A setting that is wrong is reported
/// when the store is opened, or by the URL that has it. `Debug` never shows the password.
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
    /// Gives the password, if there is one.
    pub(crate) password_provider: Option<Provider>,
    pub(crate) database: String,
    /// See [`schema_name`](Self::schema_name).
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
    /// Options of the start-up packet for a proxy, which are no settings.
    pub(crate) startup_options: Vec<(String, String)>,
    pub(crate) keepalives: Option<Keepalives>,
    /// A malformed one is not kept, because it may hold a password.
    replicas: Vec<Option<Host>>,
    pub(crate) migrate: bool,
    pub(crate) transaction_pooler: bool,
}

impl PostgresConfig {
    fn new(hosts: &[Host], user: &str, database: &str) -> Self {
        // With their ports, so that `Debug` shows the address of each connection.
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

    /// The password to log in with.
    #[must_use]
    pub fn with_password(self, password: impl Into<String>) -> Self {
        Self { password: Some(Secret::new(password)), ..self }
    }

    /// Asks `provider` for the password of each new connection. Defaults to the password of the URL.
    #[must_use]
    pub fn with_password_provider(self, provider: impl PasswordProvider) -> Self {
        Self { password_provider: Some(Provider(Arc::new(provider))), ..self }
    }

    /// The Postgres schema of the tables: 1 to 63 lower-case letters, digits and underscores. It
    /// begins with no digit and not with `pg_`. Defaults to `rsvp`.
    #[must_use]
    pub fn with_schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    /// The name of these connections in `pg_stat_activity`. Defaults to `rsvp`.
    #[must_use]
    pub fn with_application_name(self, name: impl Into<String>) -> Self {
        Self { application_name: name.into(), ..self }
    }

    /// The most connections to the primary, and to each replica, within 1 to 1,000. Defaults to
    /// 10. Of several to the primary, a fifth is left to reads.
    ///
    /// Stopping calls that take too long needs up to two more connections to each server. The name
    /// of these ends with `control`. A server's limit for the role must leave room for them.
    #[must_use]
    pub fn with_pool_size(self, size: usize) -> Self {
        Self { pool_size: size, ..self }
    }

    /// The longest time to wait for one host to accept a connection, within 1 ms to 1 h. Defaults
    /// to 2 s.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// The longest time that a call waits for a connection to become free, or for a place among the
    /// calls that change something, within 1 ms to 1 h. Then the call is refused as
    /// [`Error::Overloaded`]. Defaults to 2 s.
    #[must_use]
    pub fn with_acquire_timeout(self, timeout: Duration) -> Self {
        Self { acquire_timeout: timeout, ..self }
    }

    /// The servers are reached through a pooler that lends a session for one transaction at a time:
    /// PgBouncer with `pool_mode = transaction`, and the pooled endpoints of Neon, Supabase and RDS
    /// Proxy. Defaults to no; a pooler that lends sessions for as long as a connection lasts needs
    /// nothing.
    ///
    /// Every call is then a transaction that makes its own settings, which costs four round trips
    /// instead of one. Nothing relies on the session: no prepared statement, and no setting.
    #[must_use]
    pub fn with_transaction_pooler(self) -> Self {
        Self { transaction_pooler: true, ..self }
    }

    /// The longest time that a statement may take, within 1 ms to 1 h. Defaults to 5 s.
    ///
    /// The server gives up after that and rolls back, so the call has certainly not taken effect.
    /// A server that does not report that within another second is silent, and the call is stopped
    /// as [`PostgresStore`](crate::PostgresStore) says. A call with an earlier deadline is stopped
    /// by that.
    #[must_use]
    pub fn with_statement_timeout(self, timeout: Duration) -> Self {
        Self { statement_timeout: timeout, ..self }
    }

    /// The longest time that a write waits for a lock that another session of the server holds,
    /// within 1 ms to 1 h. Defaults to 1 s.
    ///
    /// Then the write fails as [`Error::TimedOut`], without any effect. Other writes of its batch
    /// go on. A write that has less time than that left gives up earlier.
    #[must_use]
    pub fn with_lock_timeout(self, timeout: Duration) -> Self {
        Self { lock_timeout: timeout, ..self }
    }

    /// Adds a read replica at `host` or `host:port`, with the credentials and the database of the
    /// primary. Defaults to none.
    #[must_use]
    pub fn with_replica(mut self, host: &str) -> Self {
        let host = host.parse::<Host>().map(|host| host.with_default_port(DEFAULT_PORT));
        self.replicas.push(host.ok());
        self
    }

    /// The replicas, without the malformed ones.
    pub(crate) fn replica_hosts(&self) -> impl Iterator<Item = &Host> {
        self.replicas.iter().flatten()
    }

    /// The name of the schema.
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
    /// [`Error::InvalidInput`] with the field of the first setting that is wrong.
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
