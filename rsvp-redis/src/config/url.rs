//! Reading a configuration from a URL.

use std::ops::RangeInclusive;

use rsvp_core::url::{Parameters, Secret, StoreUrl};
use rsvp_core::{Error, Result};

use super::{RedisConfig, Sentinel};

/// The numbers of databases.
const DATABASES: RangeInclusive<i64> = 0..=u16::MAX as i64;

/// The meaning of the hosts of a URL.
enum Servers {
    Primary,
    Cluster,
    Sentinels,
}

impl RedisConfig {
    /// Reads `redis://user:password@host:port,host:port/database?parameter=value`.
    ///
    /// | scheme | servers |
    /// |---|---|
    /// | `redis://` | one primary, given by its host or by all hosts of its replication group |
    /// | `redis+cluster://` | a Redis Cluster, given by the nodes to ask first |
    /// | `redis+sentinel://` | the primary named by sentinels, given by the hosts of the sentinels and its name as the path |
    /// | `rediss://`, `rediss+cluster://`, `rediss+sentinel://` | the same over TLS, with the cargo feature `tls` |
    ///
    /// An IPv6 address stands in brackets. Every part may be percent-encoded. Redis Cluster
    /// supports no database but 0.
    ///
    /// | parameter | meaning | defaults to |
    /// |---|---|---|
    /// | `prefix` | the prefix of every key, of letters, digits, `.`, `_` and `-` | `rsvp` |
    /// | `event_spread` | the parts of every event, within 1 to 64, fixed for the life of the data | 1 |
    /// | `connections` | shared connections to each primary, within 1 to 64 | 2 |
    /// | `max_in_flight` | the limit of concurrent calls, within 1 to 1,000,000 (one more is refused as overloaded) | 16384 |
    /// | `connect_timeout` | time limit of connecting to one host, such as `500ms` or `2s` | 1s |
    /// | `response_timeout` | time limit of one reply | 2s |
    /// | `wait_replicas` | replicas to wait for before a write is acknowledged, up to 16 | 0 |
    /// | `wait_timeout` | time limit of the replicas' acknowledgement | 1s |
    /// | `database` | the database with sentinels, otherwise given by the path | 0 |
    /// | `ready` | `all`, `half` or `any`, the primaries of a cluster to accept writes before the store is ready | half |
    /// | `sweep` | whether the removal of a user looks at every event of a cluster | true |
    /// | `client_name` | the name of the connections in `CLIENT LIST` | `rsvp` |
    /// | `sentinel_user`, `sentinel_password` | the login to the sentinels, separate from the login in the URL | none |
    /// | `tls_ca` | a PEM file of root certificates | the platform's |
    /// | `tls_cert`, `tls_key` | PEM files of the client's certificate and private key | none |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`, or with the name of a malformed or
    /// out-of-range parameter. The URL is never repeated.
    ///
    /// # Examples
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// RedisConfig::from_url("redis://app:secret@redis.example/1?response_timeout=500ms")?;
    /// RedisConfig::from_url("redis+sentinel://sentinel1,sentinel2/tickets?wait_replicas=1")?;
    /// let error = RedisConfig::from_url("redis://redis.example?connections=0").unwrap_err();
    /// assert!(error.to_string().starts_with("invalid connections: "));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    pub fn from_url(url: &str) -> Result<Self> {
        Self::from_store_url(StoreUrl::parse(url)?)
    }

    /// Reads a parsed URL as [`from_url`](Self::from_url) does. A caller may take parameters of its
    /// own from the URL before, such as those of layers.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_store_url(mut url: StoreUrl) -> Result<Self> {
        let config = Self::from_address(&url)?.take_parameters(&mut url)?;
        config.check()?;
        Ok(config)
    }

    /// Everything but the parameters.
    fn from_address(url: &StoreUrl) -> Result<Self> {
        let (tls, servers) = match url.scheme() {
            _ if url.hosts().is_empty() => return Err(scheme_error()),
            "redis" => (false, Servers::Primary),
            "rediss" => (true, Servers::Primary),
            "redis+cluster" => (false, Servers::Cluster),
            "rediss+cluster" => (true, Servers::Cluster),
            "redis+sentinel" => (false, Servers::Sentinels),
            "rediss+sentinel" => (true, Servers::Sentinels),
            _ => return Err(scheme_error()),
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(malformed("TLS needs the cargo feature `tls`"));
        }
        let primary = match servers {
            Servers::Sentinels if url.path().is_empty() => {
                return Err(malformed("the path has no name of the primary that sentinels watch"));
            }
            Servers::Sentinels => Some(url.path().to_owned()),
            Servers::Primary | Servers::Cluster => None,
        };
        let cluster = matches!(servers, Servers::Cluster);
        let database = match url.path() {
            _ if primary.is_some() => 0,
            "" => 0,
            path => path
                .parse()
                .ok()
                .filter(|database| DATABASES.contains(database))
                .ok_or_else(|| malformed("the path is not a database number"))?,
        };
        if cluster && database != 0 {
            return Err(malformed("Redis Cluster does not support database numbers"));
        }
        if url.user().is_some() && url.password().is_none() {
            return Err(malformed("has a user but no password"));
        }
        Ok(Self {
            cluster,
            sentinel: primary.map(|primary| Sentinel { primary, user: None, password: None }),
            tls,
            user: url.user().map(str::to_owned),
            password: url.password().cloned(),
            database,
            ..Self::new(url.hosts().to_vec())
        })
    }

    fn take_parameters(mut self, url: &mut StoreUrl) -> Result<Self> {
        const NUMBER: &str = "a number";
        let parameters = url.parameters_mut();
        if let Some(prefix) = parameters.take("prefix")? {
            self.prefix = prefix;
        }
        if let Some(slots) = parameters.take_parsed("event_spread", NUMBER)? {
            self.event_spread = slots;
        }
        if let Some(connections) = parameters.take_parsed("connections", NUMBER)? {
            self.connections = connections;
        }
        if let Some(calls) = parameters.take_parsed("max_in_flight", NUMBER)? {
            self.max_in_flight = calls;
        }
        if let Some(timeout) = parameters.take_duration("connect_timeout")? {
            self.connect_timeout = timeout;
        }
        if let Some(timeout) = parameters.take_duration("response_timeout")? {
            self.response_timeout = timeout;
        }
        if let Some(replicas) = parameters.take_parsed("wait_replicas", NUMBER)? {
            self.wait_replicas = replicas;
        }
        if let Some(timeout) = parameters.take_duration("wait_timeout")? {
            self.wait_timeout = timeout;
        }
        if let Some(policy) = parameters.take("ready")? {
            self.ready_policy = policy.parse()?;
        }
        if let Some(sweep) = parameters.take_flag("sweep")? {
            self.sweep = sweep;
        }
        if let Some(name) = parameters.take("client_name")? {
            self.client_name = name;
        }
        if let Some(database) = parameters.take_parsed("database", NUMBER)? {
            if self.sentinel.is_none() {
                let reason = "is of use with redis+sentinel:// and rediss+sentinel:// only";
                return Err(Error::invalid_input("database", reason));
            }
            if !DATABASES.contains(&database) {
                return Err(Error::invalid_input("database", "is not within 0 to 65535"));
            }
            self.database = database;
        }
        let sentinel_user = parameters.take("sentinel_user")?;
        let sentinel_password = parameters.take("sentinel_password")?;
        match (&mut self.sentinel, sentinel_user, sentinel_password) {
            (_, None, None) => {}
            (Some(sentinel), user, Some(password)) => {
                sentinel.user = user;
                sentinel.password = Some(Secret::new(password));
            }
            (Some(_), Some(_), None) => {
                return Err(Error::invalid_input("sentinel_user", "needs a sentinel_password"));
            }
            (None, ..) => {
                let reason = "is of use with redis+sentinel:// and rediss+sentinel:// only";
                return Err(Error::invalid_input("sentinel_password", reason));
            }
        }
        self.take_tls_files(parameters)?;
        parameters.finish()?;
        Ok(self)
    }

    fn take_tls_files(&mut self, parameters: &mut Parameters) -> Result<()> {
        for name in ["tls_ca", "tls_cert", "tls_key"] {
            let Some(file) = parameters.take(name)? else { continue };
            #[cfg(feature = "tls")]
            match name {
                "tls_ca" => self.tls_files.ca = Some(file),
                "tls_cert" => self.tls_files.cert = Some(file),
                _ => self.tls_files.key = Some(file),
            }
            #[cfg(not(feature = "tls"))]
            {
                drop(file);
                return Err(Error::invalid_input(name, "needs the cargo feature `tls`"));
            }
        }
        Ok(())
    }
}

fn malformed(reason: &str) -> Error {
    Error::invalid_input("url", reason)
}

fn scheme_error() -> Error {
    malformed(
        "does not begin with redis://, redis+cluster:// or redis+sentinel://, or with rediss and the \
         same for TLS",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_url_configures_everything() {
        let config = RedisConfig::from_url(
            "redis://me%40x:p%3A%2Fw%40@r1,[::1]:7000/3?prefix=tickets&event_spread=8&connections=4\
             &max_in_flight=99&connect_timeout=500ms&response_timeout=3s&wait_replicas=2\
             &wait_timeout=250ms",
        )
        .unwrap();
        assert_eq!(format!("{:?}", config.hosts), "[r1, ::1:7000]");
        assert_eq!(config.user.as_deref(), Some("me@x"));
        assert_eq!(config.password.as_ref().unwrap().expose(), "p:/w@");
        assert_eq!((config.database, config.prefix.as_str()), (3, "tickets"));
        assert_eq!((config.event_spread, config.connections, config.max_in_flight), (8, 4, 99));
        assert_eq!(config.connect_timeout, Duration::from_millis(500));
        assert_eq!(config.response_timeout, Duration::from_secs(3));
        assert_eq!((config.wait_replicas, config.wait_timeout), (2, Duration::from_millis(250)));
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("p:/w@") && !shown.contains("p%3A"), "{shown}");
    }

    #[test]
    fn a_url_of_sentinels_names_the_primary_that_they_watch() {
        let url = "redis+sentinel://app:secret@s1,s2:5000/tickets?database=3\
                   &sentinel_password=other";
        let config = RedisConfig::from_url(url).unwrap();
        let sentinel = config.sentinel.as_ref().unwrap();
        assert_eq!((sentinel.primary.as_str(), config.database), ("tickets", 3));
        assert_eq!(sentinel.password.as_ref().unwrap().expose(), "other");
        assert_eq!(config.password.as_ref().unwrap().expose(), "secret");
        assert!(!format!("{config:?}").contains("other"));
        let config = RedisConfig::from_url("redis+sentinel://s1/tickets").unwrap();
        assert_eq!(config.database, 0);
    }

    #[test]
    fn a_malformed_part_is_named_and_nothing_is_repeated() {
        for (url, field) in [
            ("mysql://u:hunter2@h/0", "url"),
            ("redis:hunter2", "url"),
            ("redis://u:hunter2@h:port", "url"),
            ("redis://u:a@hunter2@h", "url"),
            ("redis://u:hunter2@h/hunter2", "url"),
            ("redis://u:hunter2@h/-1", "url"),
            ("redis+cluster://u:hunter2@h/1", "url"),
            ("redis://hunter2@h", "url"),
            ("redis://h?hunter2=1", "url"),
            ("redis://:hunter2@h?prefix=a&prefix=b", "prefix"),
            ("redis://:hunter2@h?prefix=a{b", "prefix"),
            ("redis://:hunter2@h?prefix=", "prefix"),
            ("redis://:hunter2@h?event_spread=0", "event_spread"),
            ("redis://:hunter2@h?event_spread=65", "event_spread"),
            ("redis://:hunter2@h?connections=hunter2", "connections"),
            ("redis://:hunter2@h?max_in_flight=0", "max_in_flight"),
            ("redis://:hunter2@h?connect_timeout=0s", "connect_timeout"),
            ("redis://:hunter2@h?response_timeout=1m", "response_timeout"),
            ("redis://:hunter2@h?wait_replicas=17", "wait_replicas"),
            ("redis://:hunter2@h?wait_timeout=hunter2", "wait_timeout"),
            ("redis+sentinel://:hunter2@h", "url"),
            ("redis+sentinel://:hunter2@h/tickets?database=hunter2", "database"),
            ("redis+sentinel://:hunter2@h/tickets?database=-1", "database"),
            ("redis://:hunter2@h?database=1", "database"),
            ("redis+sentinel://h/tickets?sentinel_user=hunter2", "sentinel_user"),
            ("redis://h?sentinel_password=hunter2", "sentinel_password"),
            ("redis://:hunter2@h?client_name=a b", "client_name"),
            ("redis+cluster://:hunter2@h?ready=hunter2", "ready"),
        ] {
            let error = RedisConfig::from_url(url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.starts_with(&format!("invalid {field}: ")), "{url}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_needs_its_feature() {
        let error = RedisConfig::from_url("rediss://h").unwrap_err().to_string();
        assert!(error.contains("cargo feature `tls`"), "{error}");
    }

    #[test]
    fn an_unknown_parameter_is_named_beside_the_supported_ones() {
        let error = RedisConfig::from_url("redis://h?conections=3").unwrap_err().to_string();
        assert!(error.contains("unknown parameter `conections`"), "{error}");
        assert!(error.contains("`connections`") && error.contains("`tls_ca`"), "{error}");
    }
}
