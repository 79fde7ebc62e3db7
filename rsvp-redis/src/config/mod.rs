//! The configuration of a store, with its servers, connections and timeouts.

mod credentials;
#[cfg(feature = "tls")]
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::backend::{check_name, check_range, check_timeout};
use rsvp_core::url::{Host, Secret};
use rsvp_core::{PageLimit, ReadyPolicy, Result};

pub(crate) use self::credentials::Provider;
pub use self::credentials::{CredentialError, CredentialProvider, Credentials};
#[cfg(feature = "tls")]
pub(crate) use self::tls::TlsFiles;

/// The port of a server without one.
pub(crate) const DEFAULT_PORT: u16 = 6379;
/// The port of a sentinel without one.
pub(crate) const SENTINEL_PORT: u16 = 26_379;

/// The configuration of a [`RedisStore`](crate::RedisStore), with its servers, connections and
/// timeouts.
///
/// It is made from a URL and refined by methods. The methods take any value, and
/// [`RedisStore::open`](crate::RedisStore::open) refuses values out of range. `Debug` never shows
/// the password.
///
/// ```
/// use std::time::Duration;
/// use rsvp_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis+cluster://app:secret@redis1,redis2:6380")?
///     .with_prefix("tickets")
///     .with_response_timeout(Duration::from_millis(500))
///     .with_wait_replicas(1);
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) cluster: bool,
    /// Whether the hosts are sentinels, and how they are asked.
    pub(crate) sentinel: Option<Sentinel>,
    pub(crate) tls: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls_files: TlsFiles,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) provider: Option<Provider>,
    pub(crate) client_name: String,
    pub(crate) database: i64,
    pub(crate) prefix: String,
    pub(crate) event_spread: u16,
    pub(crate) connections: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) wait_replicas: u32,
    pub(crate) wait_timeout: Duration,
    pub(crate) audit_step: PageLimit,
    pub(crate) ready_policy: ReadyPolicy,
    pub(crate) sweep: bool,
}

/// The primary to ask sentinels for, and the login to them.
#[derive(Clone, Debug)]
pub(crate) struct Sentinel {
    /// The name of the primary. A sentinel may watch several.
    pub(crate) primary: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

impl RedisConfig {
    /// The configuration of a single primary among `hosts`, with the defaults.
    fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            cluster: false,
            sentinel: None,
            tls: false,
            #[cfg(feature = "tls")]
            tls_files: TlsFiles::default(),
            user: None,
            password: None,
            provider: None,
            client_name: "rsvp".to_owned(),
            database: 0,
            prefix: "rsvp".to_owned(),
            event_spread: 1,
            connections: 2,
            max_in_flight: 16_384,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(2),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
            audit_step: PageLimit::default(),
            ready_policy: ReadyPolicy::default(),
            sweep: true,
        }
    }

    /// Sets the user and the password of Redis' access control lists. Without a user, the login is
    /// of the user `default`.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url("redis://redis.example")?
    ///     .with_credentials(Some("app"), "secret");
    /// assert!(!format!("{config:?}").contains("secret"));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_credentials(self, user: Option<&str>, password: impl Into<String>) -> Self {
        Self { user: user.map(str::to_owned), password: Some(Secret::new(password)), ..self }
    }

    /// Sets the source of the user and the password of each new connection, for example for tokens
    /// of a cloud provider. It replaces the login of [`with_credentials`](Self::with_credentials).
    ///
    /// [`CredentialProvider`] has an example.
    #[must_use]
    pub fn with_credential_provider(self, provider: impl CredentialProvider) -> Self {
        Self { provider: Some(Provider(Arc::new(provider))), ..self }
    }

    /// Sets the user and the password of the sentinels. They are separate from those of the
    /// servers. Defaults to none.
    ///
    /// Without effect unless the URL begins with `redis+sentinel://` or `rediss+sentinel://`.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url("redis+sentinel://app:secret@sentinel1,sentinel2/tickets")?
    ///     .with_sentinel_credentials(None, "another secret");
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_sentinel_credentials(
        self,
        user: Option<&str>,
        password: impl Into<String>,
    ) -> Self {
        let (user, password) = (user.map(str::to_owned), Some(Secret::new(password)));
        let sentinel = self.sentinel.map(|sentinel| Sentinel { user, password, ..sentinel });
        Self { sentinel, ..self }
    }

    /// Sets the name of the connections in `CLIENT LIST`. Defaults to `rsvp`.
    ///
    /// A name has 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
    #[must_use]
    pub fn with_client_name(self, name: impl Into<String>) -> Self {
        Self { client_name: name.into(), ..self }
    }

    /// Sets the prefix of every key. Defaults to `rsvp`.
    ///
    /// A prefix has 1 to 64 ASCII letters, digits, `.`, `_` and `-`. Stores with different prefixes
    /// share no data.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// // A staging store beside the one in production, on the same server.
    /// let config = RedisConfig::from_url("redis://redis.example")?.with_prefix("staging");
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Sets the number of parts of each event, within 1 to 64. The parts are in different slots,
    /// and several nodes of a cluster share a hot event. Defaults to 1.
    ///
    /// The parts fall on the nodes as keys do, by hash. A few parts per primary spread an event
    /// over most of them. A count, a list and a removal ask every part. The number cannot change
    /// while there are RSVPs. Opening a store with another number fails.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// // Six primaries, about three parts on each.
    /// let config = RedisConfig::from_url("redis+cluster://redis1,redis2")?.with_event_spread(18);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_event_spread(self, event_spread: u16) -> Self {
        Self { event_spread, ..self }
    }

    /// Sets the number of shared connections to each primary, within 1 to 64. Defaults to 2.
    ///
    /// With [`with_wait_replicas`](Self::with_wait_replicas), writes have connections of their own
    /// beside them, up to 8 to each primary. So have replacements of labels.
    #[must_use]
    pub fn with_connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Sets the limit of concurrent calls, within 1 to 1,000,000. Defaults to 16,384.
    ///
    /// One call more is refused at once as [`Error::Overloaded`](rsvp_core::Error::Overloaded).
    #[must_use]
    pub fn with_max_in_flight(self, calls: usize) -> Self {
        Self { max_in_flight: calls, ..self }
    }

    /// Sets the time limit of an attempt to connect to one host, within 1 ms to 1 h. Defaults to
    /// 1 s.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets the time limit of one reply, within 1 ms to 1 h. Defaults to 2 s.
    ///
    /// A connection without a reply in time is closed, and its writes are settled. To settle them
    /// takes up to the connect timeout more, and at most 1 s. The [crate's
    /// documentation](crate#failed-writes) has the details. A call may take a few round trips. The
    /// deadline of a call shortens the wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rsvp_redis::RedisConfig;
    ///
    /// // Fail fast within one data centre.
    /// let config = RedisConfig::from_url("redis://redis.example")?
    ///     .with_connect_timeout(Duration::from_millis(200))
    ///     .with_response_timeout(Duration::from_millis(300));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_response_timeout(self, timeout: Duration) -> Self {
        Self { response_timeout: timeout, ..self }
    }

    /// Sets the number of replicas to wait for before a write is acknowledged (`WAIT`), up to 16.
    /// Defaults to 0.
    ///
    /// `WAIT` is not consensus. If too few replicas receive a write, it stays on the primary, and a
    /// replica without the write may still be promoted. `WAIT` makes the loss of an acknowledged
    /// write unlikely.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rsvp_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url("redis+cluster://redis1,redis2")?
    ///     .with_wait_replicas(1)
    ///     .with_wait_timeout(Duration::from_millis(500));
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_wait_replicas(self, replicas: u32) -> Self {
        Self { wait_replicas: replicas, ..self }
    }

    /// Sets the time limit of the replicas' acknowledgement, within 1 ms to 1 h. Defaults to 1 s.
    ///
    /// After it the write fails with unknown effect.
    #[must_use]
    pub fn with_wait_timeout(self, timeout: Duration) -> Self {
        Self { wait_timeout: timeout, ..self }
    }

    /// Sets the most entries in one step of an audit or a repair. Defaults to 1,000.
    ///
    /// Smaller steps leave more room to other calls between them.
    ///
    /// ```
    /// use rsvp_core::PageLimit;
    /// use rsvp_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url("redis://redis.example")?
    ///     .with_audit_step(PageLimit::new(200)?);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_audit_step(self, entries: PageLimit) -> Self {
        Self { audit_step: entries, ..self }
    }

    /// Sets how many of the primaries of a cluster must accept writes for
    /// [`ready`](rsvp_core::RsvpStore::ready) to succeed. Defaults to half of them.
    ///
    /// ```
    /// use rsvp_core::ReadyPolicy;
    /// use rsvp_redis::RedisConfig;
    ///
    /// // An instance gets no traffic unless every primary accepts writes.
    /// let config = RedisConfig::from_url("redis+cluster://redis1,redis2")?
    ///     .with_ready_policy(ReadyPolicy::All);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_ready_policy(self, policy: ReadyPolicy) -> Self {
        Self { ready_policy: policy, ..self }
    }

    /// Sets whether the removal of a user ends with a sweep, a look at every event of a cluster.
    /// The sweep also finds RSVPs missing from the user's list. Defaults to `true`.
    ///
    /// The sweep reads the names of all keys of the cluster and sends a `SISMEMBER` for each event.
    /// Without it a removal costs as much as the user's list is long, and is complete after a
    /// [repair](rsvp_core::Maintenance). Leave it out to remove many users a day and repair each
    /// night.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// // A nightly job runs `rsvpctl repair`.
    /// let config = RedisConfig::from_url("redis+cluster://redis1,redis2")?.with_sweep(false);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_sweep(self, sweep: bool) -> Self {
        Self { sweep, ..self }
    }

    /// How long data may stay without the acknowledgement of the server's kernel.
    pub(crate) fn user_timeout(&self) -> Duration {
        self.response_timeout.saturating_mul(2)
    }

    /// Fails if a value is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        check_name("prefix", &self.prefix)?;
        check_name("client_name", &self.client_name)?;
        check_range("event_spread", self.event_spread, 1..=64)?;
        check_range("connections", self.connections, 1..=64)?;
        check_range("max_in_flight", self.max_in_flight, 1..=1_000_000)?;
        check_timeout("connect_timeout", self.connect_timeout)?;
        check_timeout("response_timeout", self.response_timeout)?;
        check_range("wait_replicas", self.wait_replicas, 0..=16)?;
        check_timeout("wait_timeout", self.wait_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_named() {
        let config = || RedisConfig::new(Vec::new());
        config().check().unwrap();
        for (config, field) in [
            (config().with_prefix("a{b"), "prefix"),
            (config().with_client_name("a b"), "client_name"),
            (config().with_event_spread(65), "event_spread"),
            (config().with_connections(0), "connections"),
            (config().with_max_in_flight(1_000_001), "max_in_flight"),
            (config().with_connect_timeout(Duration::ZERO), "connect_timeout"),
            (config().with_response_timeout(Duration::from_secs(3601)), "response_timeout"),
            (config().with_wait_replicas(17), "wait_replicas"),
            (config().with_wait_timeout(Duration::ZERO), "wait_timeout"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {field}: ")), "{error}");
        }
    }
}
