//! How to reach the servers, and how long to wait for them.

use std::time::Duration;

use rsvp_core::url::{Host, Secret, StoreUrl, check_timeout, parse_duration};
use rsvp_core::{Error, Result};

/// The port of a URL that names none.
pub(crate) const DEFAULT_PORT: u16 = 6379;

/// How a [`RedisStore`](crate::RedisStore) reaches its servers.
///
/// Made from a URL, refined by methods. `Debug` never shows the password.
///
/// ```
/// use std::time::Duration;
/// use rsvp_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis+cluster://app:secret@redis1,redis2:6380")?
///     .with_prefix("tickets")?
///     .with_response_timeout(Duration::from_millis(500))?
///     .with_wait_replicas(1)?;
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) cluster: bool,
    pub(crate) tls: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls_ca: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: i64,
    pub(crate) prefix: String,
    pub(crate) event_spread: u16,
    pub(crate) connections: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) wait_replicas: u32,
    pub(crate) wait_timeout: Duration,
}

impl RedisConfig {
    /// Reads `redis://user:password@host:port,host:port/database?parameter=value`.
    ///
    /// | scheme | servers |
    /// |---|---|
    /// | `redis://` | one primary; with several hosts, whichever is the primary |
    /// | `redis+cluster://` | a Redis Cluster; the hosts are those of its nodes that are asked first |
    /// | `rediss://`, `rediss+cluster://` | the same over TLS; needs the cargo feature `tls` |
    ///
    /// An address of IPv6 stands in brackets. Everything may be percent-encoded. A cluster has no
    /// databases but 0.
    ///
    /// | parameter | means | unless given |
    /// |---|---|---|
    /// | `prefix` | what every key begins with, of letters, digits, `.`, `_` and `-` | `rsvp` |
    /// | `event_spread` | slots that every event is divided over, within 1 to 64; fixed for the life of the data | 1 |
    /// | `connections` | shared connections to each primary | 2 |
    /// | `max_in_flight` | calls at once; one more is refused as overloaded | 16384 |
    /// | `connect_timeout` | for one host, such as `500ms` or `2s` | 1s |
    /// | `response_timeout` | for one answer | 2s |
    /// | `wait_replicas` | replicas that must have a write before it is acknowledged | 0 |
    /// | `wait_timeout` | how long to wait for them | 1s |
    /// | `tls_ca` | a PEM file of root certificates | the platform's |
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`, or with that of the parameter which is
    /// wrong. The URL is never repeated.
    pub fn from_url(url: &str) -> Result<Self> {
        let url = StoreUrl::parse(url)?;
        let (tls, cluster) = match url.scheme() {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+cluster" => (false, true),
            "rediss+cluster" => (true, true),
            _ => {
                return Err(wrong(
                    "does not begin with redis://, rediss://, redis+cluster:// or rediss+cluster://",
                ));
            }
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(wrong("asks for TLS, which needs the cargo feature `tls`"));
        }
        let database = match url.path() {
            "" => 0,
            path => path
                .parse()
                .ok()
                .filter(|database| (0..=i64::from(u16::MAX)).contains(database))
                .ok_or_else(|| wrong("has a path that is not the number of a database"))?,
        };
        if cluster && database != 0 {
            return Err(wrong("names a database, which a cluster has not"));
        }
        if url.user().is_some() && url.password().is_none() {
            return Err(wrong("names a user without a password"));
        }
        let mut config = Self {
            hosts: url.hosts().to_vec(),
            cluster,
            tls,
            #[cfg(feature = "tls")]
            tls_ca: None,
            user: url.user().map(str::to_owned),
            password: url.password().cloned(),
            database,
            prefix: "rsvp".to_owned(),
            event_spread: 1,
            connections: 2,
            max_in_flight: 16_384,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(2),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
        };
        for (name, value) in url.parameters() {
            config = config.with_parameter(name, value)?;
        }
        Ok(config)
    }

    fn with_parameter(self, name: &str, value: &str) -> Result<Self> {
        match name {
            "prefix" => self.with_prefix(value),
            "event_spread" => self.with_event_spread(number("event_spread", value)?),
            "connections" => self.with_connections(number("connections", value)?),
            "max_in_flight" => self.with_max_in_flight(number("max_in_flight", value)?),
            "connect_timeout" => {
                self.with_connect_timeout(parse_duration("connect_timeout", value)?)
            }
            "response_timeout" => {
                self.with_response_timeout(parse_duration("response_timeout", value)?)
            }
            "wait_replicas" => self.with_wait_replicas(number("wait_replicas", value)?),
            "wait_timeout" => self.with_wait_timeout(parse_duration("wait_timeout", value)?),
            #[cfg(feature = "tls")]
            "tls_ca" => Ok(self.with_tls_ca(value)),
            #[cfg(not(feature = "tls"))]
            "tls_ca" => Err(Error::invalid_input("tls_ca", "needs the cargo feature `tls`")),
            _ => Err(wrong(
                "has a parameter that is unknown; known are prefix, event_spread, connections, \
                 max_in_flight, connect_timeout, response_timeout, wait_replicas, wait_timeout \
                 and tls_ca",
            )),
        }
    }

    /// The user and the password to log in with, by Redis' access control lists; the user
    /// `default` has a password alone.
    #[must_use]
    pub fn with_credentials(self, user: Option<&str>, password: impl Into<String>) -> Self {
        Self { user: user.map(str::to_owned), password: Some(Secret::new(password)), ..self }
    }

    /// What every key begins with; `rsvp` unless said otherwise. Stores with different prefixes
    /// know nothing of each other.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is 1 to 64 of the letters `a` to `z` and `A` to `Z`,
    /// digits, `.`, `_` and `-`.
    pub fn with_prefix(self, prefix: &str) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=64).contains(&prefix.len()) && prefix.bytes().all(legal) {
            Ok(Self { prefix: prefix.to_owned(), ..self })
        } else {
            Err(Error::invalid_input("prefix", "is not 1 to 64 letters, digits, `.`, `_` and `-`"))
        }
    }

    /// How many slots each event is divided over, so that several nodes of a cluster share a hot
    /// one; 1 unless said otherwise.
    ///
    /// The parts fall on the nodes as keys do, by hash: a few parts per primary spread an event
    /// over most of them. A count, a list and a removal ask every part. It cannot change while
    /// there are RSVPs: a store that is opened with another one is refused.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 64.
    pub fn with_event_spread(self, event_spread: u16) -> Result<Self> {
        Ok(Self { event_spread: within("event_spread", event_spread, 1, 64)?, ..self })
    }

    /// How many connections to each primary all calls share; 2 unless said otherwise. Writes
    /// that wait for replicas have connections of their own beside them, 8 to each primary.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 64.
    pub fn with_connections(self, connections: usize) -> Result<Self> {
        Ok(Self { connections: within("connections", connections, 1, 64)?, ..self })
    }

    /// How many calls may be under way at once; one more is refused at once as
    /// [`Error::Overloaded`]. 16,384 unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 1,000,000.
    pub fn with_max_in_flight(self, calls: usize) -> Result<Self> {
        Ok(Self { max_in_flight: within("max_in_flight", calls, 1, 1_000_000)?, ..self })
    }

    /// How long to try one host for a connection; 1 s unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_connect_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { connect_timeout: check_timeout("connect_timeout", timeout)?, ..self })
    }

    /// How long to wait for an answer; 2 s unless said otherwise.
    ///
    /// A connection that has not answered by then is closed, and the effect of the call is
    /// unknown. A call may take a few round trips.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_response_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { response_timeout: check_timeout("response_timeout", timeout)?, ..self })
    }

    /// How many replicas must have received a write before it is acknowledged (`WAIT`); 0 unless
    /// said otherwise.
    ///
    /// It is not consensus: a write that fails for want of replicas stays on the primary, and a
    /// replica that did not receive it may still be promoted. It makes losing an acknowledged
    /// write unlikely.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is more than 16.
    pub fn with_wait_replicas(self, replicas: u32) -> Result<Self> {
        Ok(Self { wait_replicas: within("wait_replicas", replicas, 0, 16)?, ..self })
    }

    /// How long to wait for the replicas; 1 s unless said otherwise. Then the write fails, with
    /// unknown effect.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_wait_timeout(self, timeout: Duration) -> Result<Self> {
        Ok(Self { wait_timeout: check_timeout("wait_timeout", timeout)?, ..self })
    }

    /// Trusts the root certificates of a PEM file instead of the platform's.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls_ca(self, file: impl Into<String>) -> Self {
        Self { tls_ca: Some(file.into()), ..self }
    }
}

fn wrong(reason: &str) -> Error {
    Error::invalid_input("url", reason)
}

fn number<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::invalid_input(field, "is not a number within its limits"))
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T> {
    if (&least..=&most).contains(&&value) {
        Ok(value)
    } else {
        Err(Error::invalid_input(field, format!("is not within {least} to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_everything() {
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
    fn what_is_wrong_is_named_and_nothing_is_repeated() {
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
}
