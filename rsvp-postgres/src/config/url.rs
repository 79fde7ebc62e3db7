//! Reading a configuration from a URL.

use rsvp_core::url::{StoreUrl, parse_duration};
use rsvp_core::{Error, Result};

use crate::PostgresConfig;
use crate::config::SslMode;

impl PostgresConfig {
    /// Reads `postgres://user:password@host:port,host:port/database?parameter=value`.
    ///
    /// With several hosts, whichever accepts writes is the primary. An address of IPv6 stands in
    /// brackets. Everything may be percent-encoded.
    ///
    /// | parameter | means | unless given |
    /// |---|---|---|
    /// | `schema` | the Postgres schema of the tables | `rsvp` |
    /// | `migrate` | `true`: create or upgrade the tables when opening | `false` |
    /// | `replica` | `host:port` of a read replica; may be repeated | none |
    /// | `pool_size` | connections to the primary, and to each replica | 10 |
    /// | `connect_timeout` | for one host, such as `500ms` or `2s` | 2s |
    /// | `acquire_timeout` | wait for a free connection | 2s |
    /// | `statement_timeout` | for one statement | 5s |
    /// | `application_name` | shown in `pg_stat_activity` | `rsvp` |
    /// | `sslmode` | as libpq's; other than `disable` needs the cargo feature `tls` | `prefer` with that feature |
    /// | `sslrootcert` | a file of root certificates | the platform's |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`, or with that of the parameter which is
    /// wrong. The URL is never repeated.
    pub fn from_url(url: &str) -> Result<Self> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("does not begin with postgres://"));
        }
        let url = StoreUrl::parse(url)?;
        let user = url.user().unwrap_or("postgres");
        let database = if url.path().is_empty() { user } else { url.path() };

        let mut config = Self::new(url.hosts(), user, database);
        config.ssl_mode = default_ssl_mode();
        config.password = url.password().cloned();
        for (name, value) in url.parameters() {
            config = config.with_parameter(name, value)?;
        }
        Ok(config)
    }

    fn with_parameter(mut self, name: &str, value: &str) -> Result<Self> {
        match name {
            "schema" => self.with_schema(value),
            "migrate" => {
                let no_flag = || Error::invalid_input("migrate", "is neither true nor false");
                self.migrate = value.parse().map_err(|_| no_flag())?;
                Ok(self)
            }
            "replica" => self.with_replica(value),
            "pool_size" => {
                let no_number = || Error::invalid_input("pool_size", "is not a number");
                self.with_pool_size(value.parse().map_err(|_| no_number())?)
            }
            "connect_timeout" => {
                self.with_connect_timeout(parse_duration("connect_timeout", value)?)
            }
            "acquire_timeout" => {
                self.with_acquire_timeout(parse_duration("acquire_timeout", value)?)
            }
            "statement_timeout" => {
                self.with_statement_timeout(parse_duration("statement_timeout", value)?)
            }
            "application_name" => Ok(self.with_application_name(value)),
            "sslmode" => {
                self.ssl_mode = ssl_mode(value)?;
                Ok(self)
            }
            "sslrootcert" => {
                self.ssl_root_cert = Some(value.to_owned());
                Ok(self)
            }
            _ => Err(wrong(
                "has a parameter that is unknown; known are schema, migrate, replica, pool_size, \
                 connect_timeout, acquire_timeout, statement_timeout, application_name, sslmode \
                 and sslrootcert",
            )),
        }
    }
}

fn wrong(reason: &str) -> Error {
    Error::invalid_input("url", reason)
}

#[cfg(not(feature = "tls"))]
fn default_ssl_mode() -> SslMode {
    SslMode::Disable
}

#[cfg(feature = "tls")]
fn default_ssl_mode() -> SslMode {
    SslMode::Prefer
}

#[cfg(not(feature = "tls"))]
fn ssl_mode(mode: &str) -> Result<SslMode> {
    match mode {
        "disable" => Ok(SslMode::Disable),
        _ => {
            Err(Error::invalid_input("sslmode", "other than disable needs the cargo feature `tls`"))
        }
    }
}

#[cfg(feature = "tls")]
fn ssl_mode(mode: &str) -> Result<SslMode> {
    match mode {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(Error::invalid_input(
            "sslmode",
            "is not disable, prefer, require, verify-ca or verify-full",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_url_says_everything() {
        let config = PostgresConfig::from_url(
            "postgresql://me%40x:p%3A%2Fw%40@db1,[::1]:5433,db3:6000/my%20db?schema=other&pool_size=3\
             &replica=r1:7000&replica=r2&connect_timeout=500ms&statement_timeout=3s&migrate=true\
             &acquire_timeout=7s&application_name=tickets&sslmode=disable",
        )
        .unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[db1:5432, ::1:5433, db3:6000]");
        assert_eq!(format!("{:?}", config.replicas), "[r1:7000, r2:5432]");
        assert_eq!((config.user.as_str(), config.database.as_str()), ("me@x", "my db"));
        assert_eq!(config.password.as_ref().unwrap().expose(), "p:/w@");
        assert_eq!(config.schema.as_str(), "other");
        assert_eq!(config.pool_size, 3);
        assert_eq!(config.connect_timeout, Duration::from_millis(500));
        assert_eq!(config.acquire_timeout, Duration::from_secs(7));
        assert_eq!(config.statement_timeout, Duration::from_secs(3));
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
        assert_eq!(config.schema.as_str(), "rsvp");
    }

    #[test]
    fn the_folder_of_a_socket_is_a_host() {
        let url = "postgres://%2Frun%2Fpostgresql,%2Ftmp:5433/d?replica=%2Frun%2Freplica";
        let config = PostgresConfig::from_url(url).unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[/run/postgresql:5432, /tmp:5433]");
        assert_eq!(format!("{:?}", config.replicas), "[/run/replica:5432]");
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_is_repeated() {
        for (url, field) in [
            ("mysql://u:hunter2@h/d", "url"),
            ("postgres://u:hunter2@h:port/d", "url"),
            ("postgres://u:hunter2@h:0/d", "url"),
            ("postgres://u:%FF@hunter2/d", "url"),
            ("postgres://u:1234/hunter2@h/d", "url"),
            ("postgres://u:a@hunter2@h/d", "url"),
            ("postgres://u@h/d?password=hunter2", "url"),
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
        ] {
            let error = PostgresConfig::from_url(url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.starts_with(&format!("invalid {field}: ")), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
