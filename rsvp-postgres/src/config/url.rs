//! The settings of a URL.

use rsvp_core::url::StoreUrl;
use rsvp_core::{Error, Result};

use super::{PostgresConfig, SslMode, override_with};

impl PostgresConfig {
    /// Reads `postgres://user:password@host:port,host:port/database?parameter=value`.
    ///
    /// ```
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// let url = "postgres://app:p%40ss@db1,[::1]:5433/tickets?pool_size=20&statement_timeout=2s";
    /// let config = PostgresConfig::from_url(url)?;
    /// let error = PostgresConfig::from_url("postgres://db/tickets?pool_size=none").unwrap_err();
    /// assert!(error.to_string().starts_with("invalid pool_size: "));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    ///
    /// Given several hosts, the store connects to the primary among them,
    /// and reconnects to the new primary after a failover.
    /// An IPv6 address stands in brackets. The folder of a Unix socket is a host, too.
    /// Every part may be percent-encoded. The user defaults to `postgres`, and the database to the
    /// name of the user. The scheme may also be `postgresql`.
    ///
    /// | parameter | meaning | default |
    /// |---|---|---|
    /// | `schema` | the Postgres schema of the tables | `rsvp` |
    /// | `migrate` | `true` creates or upgrades the tables when opening | `false` |
    /// | `replica` | `host:port` of a read replica, may be repeated | none |
    /// | `pool_size` | connections to the primary, and to each replica | 10 |
    /// | `connect_timeout` | for one host, such as `500ms`, `2s`, or `2` for seconds | 2s |
    /// | `acquire_timeout` | wait for a free connection | 2s |
    /// | `statement_timeout` | for one statement | 5s |
    /// | `lock_timeout` | wait of a write for a lock | 1s |
    /// | `pooler` | `transaction` for a pooler in [transaction mode](Self::with_transaction_pooler) | `session` |
    /// | `application_name` | shown in `pg_stat_activity` | `rsvp` |
    /// | `sslmode` | as in libpq, with the cargo feature `tls` for others than `disable` | `prefer`, or `disable` without the feature |
    /// | `sslrootcert` | a file of root certificates, or `system` for the platform's with `verify-full` | the platform's |
    /// | `sslcert`, `sslkey` | files of the client's certificate and key | none |
    /// | `channel_binding` | `require` verifies the server's certificate (`verify-full`), for the same protection | `prefer` |
    /// | `passfile` | a file in the format of `.pgpass`, or `env` for `PGPASSFILE` and `~/.pgpass` | none |
    /// | `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_count` | TCP keepalive by the server, in seconds | 1, 30, 10, 3 |
    /// | `options` | `endpoint=…`, `project=…` or `reference=…` for a proxy, but no settings | none |
    /// | `pgbouncer` | `true` is `pooler=transaction` | `false` |
    ///
    /// `host`, `port`, `user`, `password` and `dbname` may stand here, too.
    /// The store accepts other parameters of libpq if their value asks for its own behavior.
    /// Otherwise it refuses them by name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`, or with the field of the wrong parameter.
    /// The message never repeats the URL.
    pub fn from_url(url: &str) -> Result<Self> {
        Self::from_store_url(StoreUrl::parse(url)?)
    }

    /// Reads a parsed URL, as [`from_url`](Self::from_url).
    ///
    /// ```
    /// use rsvp_core::url::StoreUrl;
    /// use rsvp_postgres::PostgresConfig;
    ///
    /// // A host can take parameters of its own before the store reads the others.
    /// let mut url = StoreUrl::parse("postgres://db/tickets?pool_size=20&tenant=7")?;
    /// let tenant = url.parameters_mut().take("tenant")?;
    /// let config = PostgresConfig::from_store_url(url)?;
    /// assert_eq!(tenant.as_deref(), Some("7"));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_store_url(mut url: StoreUrl) -> Result<Self> {
        // 1. The parts before the parameters.
        if !["postgres", "postgresql"].contains(&url.scheme()) || url.hosts().is_empty() {
            return Err(Error::invalid_input("url", "does not begin with postgres://"));
        }
        let user = url.user().unwrap_or("postgres");
        let database = if url.path().is_empty() { user } else { url.path() };
        let mut config = Self::new(url.hosts(), user, database);
        config.password = url.password().cloned();

        // 2. The parameters, each over its default.
        let parameters = url.parameters_mut();
        override_with(&mut config.schema, parameters.take("schema")?);
        override_with(&mut config.migrate, parameters.take_flag("migrate")?);
        for replica in parameters.take_all("replica") {
            config = config.with_replica(&replica);
        }
        override_with(&mut config.pool_size, parameters.take_parsed("pool_size", "a number")?);
        override_with(&mut config.acquire_timeout, parameters.take_duration("acquire_timeout")?);
        let statement_timeout = parameters.take_duration("statement_timeout")?;
        override_with(&mut config.statement_timeout, statement_timeout);
        override_with(&mut config.lock_timeout, parameters.take_duration("lock_timeout")?);
        if let Some(mode) = parameters.take("pooler")? {
            config.transaction_pooler = transaction_pooler(&mode)?;
        }
        config.ssl_mode = parameters.take("sslmode")?.map_or(Ok(DEFAULT_SSL_MODE), ssl_mode)?;
        config.take_libpq(parameters)?;
        parameters.finish()?;

        // 3. The ranges of the numbers.
        config.check()?;
        Ok(config)
    }
}

fn transaction_pooler(mode: &str) -> Result<bool> {
    match mode {
        "transaction" => Ok(true),
        "session" => Ok(false),
        _ => Err(Error::invalid_input("pooler", "is not transaction or session")),
    }
}

#[cfg(not(feature = "tls"))]
const DEFAULT_SSL_MODE: SslMode = SslMode::Disable;

#[cfg(feature = "tls")]
const DEFAULT_SSL_MODE: SslMode = SslMode::Prefer;

#[cfg(not(feature = "tls"))]
fn ssl_mode(mode: String) -> Result<SslMode> {
    match mode.as_str() {
        "disable" => Ok(SslMode::Disable),
        _ => {
            Err(Error::invalid_input("sslmode", "other than disable needs the cargo feature `tls`"))
        }
    }
}

#[cfg(feature = "tls")]
fn ssl_mode(mode: String) -> Result<SslMode> {
    match mode.as_str() {
        "disable" => Ok(SslMode::Disable),
        "allow" => Ok(SslMode::Allow),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(Error::invalid_input(
            "sslmode",
            "is not disable, allow, prefer, require, verify-ca or verify-full",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rsvp_core::url::Host;

    use super::*;

    fn replicas(config: &PostgresConfig) -> Vec<&Host> {
        config.replica_hosts().collect()
    }

    #[test]
    fn a_url_gives_every_setting() {
        let config = PostgresConfig::from_url(
            "postgresql://me%40x:p%3A%2Fw%40@db1,[::1]:5433,db3:6000/my%20db?schema=other&pool_size=3\
             &replica=r1:7000&replica=r2&connect_timeout=500ms&statement_timeout=3s&migrate=true\
             &acquire_timeout=7s&lock_timeout=250ms&application_name=tickets&sslmode=disable",
        )
        .unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[db1:5432, ::1:5433, db3:6000]");
        assert_eq!(format!("{:?}", replicas(&config)), "[r1:7000, r2:5432]");
        assert_eq!((config.user.as_str(), config.database.as_str()), ("me@x", "my db"));
        assert_eq!(config.password.as_ref().unwrap().expose(), "p:/w@");
        assert_eq!(config.schema, "other");
        assert_eq!(config.pool_size, 3);
        assert_eq!(config.connect_timeout, Duration::from_millis(500));
        assert_eq!(config.acquire_timeout, Duration::from_secs(7));
        assert_eq!(config.statement_timeout, Duration::from_secs(3));
        assert_eq!(config.lock_timeout, Duration::from_millis(250));
        assert_eq!(config.application_name, "tickets");
        assert!(config.migrate);
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("p:/w@") && !shown.contains("p%3A"), "{shown}");
    }

    #[test]
    fn a_short_url_has_defaults() {
        let config = PostgresConfig::from_url("postgres://db").unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[db:5432]");
        assert_eq!((config.user.as_str(), config.database.as_str()), ("postgres", "postgres"));
        assert_eq!(config.schema, "rsvp");
    }

    #[test]
    fn an_unknown_parameter_is_named_beside_the_supported_ones() {
        let error = PostgresConfig::from_url("postgres://db?migrate=true&scema=x").unwrap_err();
        let message = error.to_string();
        let expected = "invalid url: unknown parameter `scema`; supported: `schema`, `migrate`,";
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("`lock_timeout`, `pooler`, `sslmode`, `host`"), "{message}");
    }

    #[test]
    fn the_folder_of_a_socket_is_a_host() {
        let url = "postgres://%2Frun%2Fpostgresql,%2Ftmp:5433/d?replica=%2Frun%2Freplica";
        let config = PostgresConfig::from_url(url).unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[/run/postgresql:5432, /tmp:5433]");
        assert_eq!(format!("{:?}", replicas(&config)), "[/run/replica:5432]");
    }

    #[test]
    fn a_wrong_part_is_named_and_nothing_is_repeated() {
        for (url, field) in [
            ("mysql://u:hunter2@h/d", "url"),
            ("postgres:hunter2", "url"),
            ("postgres://u:hunter2@h:port/d", "url"),
            ("postgres://u:hunter2@h:0/d", "url"),
            ("postgres://u:%FF@hunter2/d", "url"),
            ("postgres://u:1234/hunter2@h/d", "url"),
            ("postgres://u:a@hunter2@h/d", "url"),
            ("postgres://u@h/d?passwd=hunter2", "url"),
            ("postgres://u:hunter2@h/d?pool_size=0", "pool_size"),
            ("postgres://u:hunter2@h/d?pool_size=hunter2", "pool_size"),
            ("postgres://u:hunter2@h/d?connect_timeout=1m", "connect_timeout"),
            ("postgres://u:hunter2@h/d?statement_timeout=0s", "statement_timeout"),
            ("postgres://u:hunter2@h/d?acquire_timeout=99999999999s", "acquire_timeout"),
            ("postgres://u:hunter2@h/d?schema=a-b", "schema"),
            ("postgres://u:hunter2@h/d?schema=pg_x", "schema"),
            ("postgres://u:hunter2@h/d?replica=hunter2:x", "replica"),
            ("postgres://u:hunter2@h/d?migrate=hunter2", "migrate"),
            ("postgres://u:hunter2@h/d?sslmode=hunter2", "sslmode"),
            ("postgres://u:hunter2@h/d?schema=hunter2&schema=x", "schema"),
        ] {
            let error = PostgresConfig::from_url(url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.starts_with(&format!("invalid {field}: ")), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
