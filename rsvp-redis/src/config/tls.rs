//! The PEM files of TLS, and their settings.

use super::RedisConfig;

/// The PEM files of TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// The root certificates to trust, in place of the platform's.
    pub(crate) ca: Option<String>,
    /// The certificate of the client, and its key.
    pub(crate) cert: Option<String>,
    pub(crate) key: Option<String>,
}

impl RedisConfig {
    /// Sets a PEM file of root certificates to trust. Defaults to the platform's.
    #[must_use]
    pub fn with_tls_ca(mut self, file: impl Into<String>) -> Self {
        self.tls_files.ca = Some(file.into());
        self
    }

    /// Sets the PEM files of the client's certificate, with its chain, and of its private key.
    /// Defaults to none.
    ///
    /// A Redis server with TLS asks for one unless it says `tls-auth-clients no`. Every new
    /// connection reads the files again. You can replace them without a restart.
    ///
    /// ```
    /// use rsvp_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_url("rediss://redis.example")?
    ///     .with_tls_ca("/etc/rsvp/ca.pem")
    ///     .with_tls_client("/etc/rsvp/client.pem", "/etc/rsvp/client.key");
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_tls_client(
        mut self,
        certificate: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        self.tls_files.cert = Some(certificate.into());
        self.tls_files.key = Some(key.into());
        self
    }
}
