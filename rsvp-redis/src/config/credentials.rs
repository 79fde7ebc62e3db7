//! The user and the password of each new connection, and their provider.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rsvp_core::async_trait;
use rsvp_core::url::{Host, Secret};

/// The error of a [`CredentialProvider`].
pub type CredentialError = Box<dyn StdError + Send + Sync>;

/// A user of Redis' access control lists, and the password.
///
/// ```
/// use rsvp_redis::Credentials;
///
/// let token = Credentials::new(Some("app"), "token");
/// assert_eq!(token.user.as_deref(), Some("app"));
/// assert!(!format!("{token:?}").contains("token\""), "Debug hides the password");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The user. `None` is the user `default`.
    pub user: Option<String>,
    /// The password, or a token in its place.
    pub password: Secret,
}

impl Credentials {
    /// The credentials of a user.
    pub fn new(user: Option<&str>, password: impl Into<String>) -> Self {
        Self { user: user.map(str::to_owned), password: Secret::new(password) }
    }
}

/// Gives the credentials of each new connection, for example a token of a cloud provider with a
/// lifetime of minutes.
///
/// The store asks for every connection, within the `connect_timeout`, so a provider should cache
/// valid credentials. Open connections stay open when a token expires, for as long as the server
/// lets them. If the server closes a connection, the store makes it again with new credentials.
///
/// ```
/// use rsvp_core::async_trait;
/// use rsvp_core::url::Host;
/// use rsvp_redis::{CredentialError, CredentialProvider, Credentials, RedisConfig};
///
/// struct Tokens;
///
/// #[async_trait]
/// impl CredentialProvider for Tokens {
///     async fn credentials(&self, host: &Host) -> Result<Credentials, CredentialError> {
///         Ok(Credentials::new(Some("app"), format!("token for {host}")))
///     }
/// }
///
/// let config = RedisConfig::from_url("rediss://redis.example")?.with_credential_provider(Tokens);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[async_trait]
pub trait CredentialProvider: Send + Sync + 'static {
    /// The credentials for a connection to `host`.
    ///
    /// # Errors
    ///
    /// Any error of the provider. The connection fails, and may be tried again. The text of the
    /// error must have no secret in it.
    async fn credentials(&self, host: &Host) -> Result<Credentials, CredentialError>;
}

/// A provider, hidden from `Debug`.
#[derive(Clone)]
pub(crate) struct Provider(pub(super) Arc<dyn CredentialProvider>);

impl Provider {
    pub(crate) async fn credentials(&self, host: &Host) -> Result<Credentials, CredentialError> {
        self.0.credentials(host).await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialProvider")
    }
}
