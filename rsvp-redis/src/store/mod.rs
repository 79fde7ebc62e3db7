//! The store, how it is opened, and the state shared by its calls.

mod admission;
mod calls;
mod later_sync;
mod maintenance;
mod probe;

use std::fmt;
use std::sync::Arc;

use rsvp_core::{Effect, Error, Result};

use self::admission::{Admission, Permit};
use self::later_sync::LaterSync;
use crate::admin::durability::{self, Durability};
use crate::admin::layout;
use crate::config::RedisConfig;
use crate::data::keys::Keys;
use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;

/// Keeps RSVPs in Redis, on one server or in a cluster.
///
/// The server decides how durable an acknowledged write is. The [crate's
/// documentation](crate#durability) has a table, and [`durability`](Self::durability) tells the
/// current level. Counts are exact. They are the sizes of the events' sets, the truth of the store.
///
/// A batch costs one round trip on a single server, and three in a cluster (the events, the users,
/// and a second look at the events), up to 10,000 entries. Membership and counts cost one. More
/// entries follow in pieces of 10,000, one after another. All calls share a few connections.
/// Dropping a call leaves a write to finish, within its deadline.
///
/// Every wait is bounded by the deadline of the call and by the timeouts of its [`RedisConfig`].
/// The store settles a failed write, or its error says until when it is pending. The [crate's
/// documentation](crate#failed-writes) has the details. Cloning is cheap and shares the
/// connections. Closing a store closes its clones.
///
/// ```no_run
/// use rsvp_core::{EventId, RsvpStore, RsvpStoreExt, UserId};
/// use rsvp_redis::{RedisConfig, RedisStore};
///
/// # async fn example() -> rsvp_core::Result<()> {
/// let store = RedisStore::open(RedisConfig::from_url("redis://redis.example")?).await?;
/// let (alice, event) = (UserId::from(1), EventId::new("101a")?);
/// store.rsvp(&alice, &event).await?;
/// assert!(store.has_rsvped(&alice, &event).await?);
/// store.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: ClusterClient,
    keys: Keys,
    admission: Admission,
    durability: Durability,
    later_sync: LaterSync,
}

impl RedisStore {
    /// Connects, checks the layout of the keys, and logs a warning if a server keeps nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the name of an out-of-range setting, with the field
    ///   `event_spread` if the data was written with another number, or with the field `tls_ca`,
    ///   `tls_cert` or `tls_key` if the file cannot be read or if one of a certificate and its key
    ///   is missing.
    /// - [`Error::Unavailable`] if no primary can be reached.
    /// - [`Error::Backend`] if the credentials are wrong, if the URL is for the other kind of
    ///   server, or if the server refuses a command.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rsvp_core::Error;
    /// use rsvp_redis::{RedisConfig, RedisStore};
    ///
    /// # async fn example() -> rsvp_core::Result<()> {
    /// let config = RedisConfig::from_url("redis+cluster://redis1,redis2")?;
    /// match RedisStore::open(config).await {
    ///     Ok(store) => println!("open: {store:?}"),
    ///     Err(error) if error.is_retryable() => println!("no primary yet: {error}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(config: RedisConfig) -> Result<Self> {
        config.check()?;
        #[cfg(feature = "tls")]
        crate::wire::tls::check(&config.tls_files)?;
        let keys = Keys::new(&config.prefix, config.event_spread);
        let admission = Admission::new(config.max_in_flight);
        let client = ClusterClient::open(Arc::new(config)).await?;
        layout::check(&client, &keys).await?;
        let durability = durability::check(&client.topology()).await;
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                keys,
                admission,
                durability,
                later_sync: LaterSync::default(),
            }),
        })
    }

    /// The configuration of the store.
    pub fn config(&self) -> &RedisConfig {
        self.client().config()
    }

    /// The share of acknowledged writes on the disks of the servers, by their configuration when
    /// the store was opened.
    ///
    /// ```no_run
    /// use rsvp_redis::{Durability, RedisStore};
    ///
    /// fn warn(store: &RedisStore) {
    ///     if store.durability() < Durability::EverySecond {
    ///         eprintln!("a restart may lose RSVPs: {:?}", store.durability());
    ///     }
    /// }
    /// ```
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn client(&self) -> &ClusterClient {
        &self.inner.client
    }

    fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    fn admit(&self, call: Call) -> Result<Permit> {
        self.inner.admission.admit(call)
    }
}

/// The error of a read at the beginning of a write.
fn before_any_write(error: Error) -> Error {
    error.with_effect(Effect::NotApplied)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", self.config())
            .field("client", self.client())
            .field("durability", &self.inner.durability)
            .finish_non_exhaustive()
    }
}
