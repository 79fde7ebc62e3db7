//! The store: opening it, and what its calls share.

mod calls;
mod gate;
mod maintenance;
mod probe;
mod unsettled;

use std::fmt;
use std::sync::Arc;

use rsvp_core::{Effect, Error, Result};

use self::gate::{Gate, Permit};
use self::unsettled::Unsettled;
use crate::admin::durability::{self, Durability};
use crate::admin::layout;
use crate::config::RedisConfig;
use crate::data::keys::Keys;
use crate::wire::call::Call;
use crate::wire::client::ClusterClient;

/// Keeps RSVPs in Redis, on one server or in a cluster.
///
/// The server decides how durable an acknowledged write is: see the table in the
/// [crate's documentation](crate), and [`durability`](Self::durability). Counts are exact: they
/// are the sizes of the sets that are the truth.
///
/// A batch costs one round trip on a single server, and three in a cluster (the events, the users,
/// and a second look at the events), up to 10,000 entries. Membership and counts cost one. More
/// entries follow in pieces of 10,000, one after another. All calls share a few connections.
/// Dropping a call leaves a write to finish, within its deadline.
///
/// Every wait is bounded by the deadline of the call and by the timeouts of its [`RedisConfig`]. A
/// write that fails is settled, or says until when it is pending: see the
/// [crate's documentation](crate). Cloning is cheap and shares the connections. Closing a store
/// closes its clones.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: ClusterClient,
    keys: Keys,
    gate: Gate,
    durability: Durability,
    unsettled: Unsettled,
}

impl RedisStore {
    /// Connects, checks that the keys have this layout, and logs a warning if a server keeps
    /// nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] with the name of a setting that is out of range, with the field
    ///   `event_spread` if the data was written with another number, or with the field `tls_ca` if
    ///   that file cannot be read.
    /// - [`Error::Unavailable`] if no primary can be reached.
    /// - [`Error::Backend`] if the credentials are wrong, if the URL is for the other kind of
    ///   server, or if the server refuses a command.
    pub async fn open(config: RedisConfig) -> Result<Self> {
        config.check()?;
        #[cfg(feature = "tls")]
        crate::wire::tls::check(&config.tls_files)?;
        let keys = Keys::new(&config.prefix, config.event_spread);
        let gate = Gate::new(config.max_in_flight);
        let client = ClusterClient::open(Arc::new(config)).await?;
        layout::check(&client, &keys).await?;
        let durability = durability::check(&client.topology()).await;
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                keys,
                gate,
                durability,
                unsettled: Unsettled::default(),
            }),
        })
    }

    /// The configuration of the store.
    pub fn config(&self) -> &RedisConfig {
        self.client().config()
    }

    /// The share of acknowledged writes that the servers had on disk when the store was opened.
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
        self.inner.gate.admit(call)
    }
}

/// The error of a read that a write begins with.
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
