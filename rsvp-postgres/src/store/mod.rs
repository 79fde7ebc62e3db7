//! The store, its opening, and the state shared by its calls.

mod calls;

use std::fmt;
use std::sync::Arc;

use rsvp_core::Result;
use tokio::sync::Semaphore;

use crate::admin::audit::Auditor;
use crate::admin::durability::Durability;
use crate::admin::opening::Opening;
use crate::admin::schema::migrate;
use crate::config::PostgresConfig;
use crate::data::locked_events::LockedEvents;
use crate::data::removal_keys::RemovalKeys;
use crate::sql::Statements;
use crate::wire::connector::Connector;
use crate::wire::election::Latest;
use crate::wire::pool::Pool;
use crate::wire::replicas::Replicas;

/// Keeps RSVPs in Postgres.
///
/// ```no_run
/// use rsvp_core::{EventId, RsvpStoreExt, UserId};
/// use rsvp_postgres::{PostgresConfig, PostgresStore};
///
/// # async fn example() -> rsvp_core::Result<()> {
/// let url = "postgres://app:secret@db1,db2/tickets?migrate=true";
/// let store = PostgresStore::open(PostgresConfig::from_url(url)?).await?;
/// let event = EventId::new("101a")?;
/// store.rsvp(&UserId::from(1), &event).await?;
/// println!("{} attendees", store.rsvp_count(&event).await?.value);
/// # Ok(())
/// # }
/// ```
///
/// An acknowledged write is committed.
/// The server's settings decide how durable it is, see [`durability`](Self::durability).
/// With `fsync` and `synchronous_commit` on, a write survives `kill -9` and power loss.
/// With a synchronous standby, it survives the loss of the primary.
/// If a write repeats an earlier attempt, the standby has both when the write is acknowledged.
///
/// Counts are exact. The statement of a write changes rows and counts together.
///
/// Clones are cheap and share the connections.
///
/// # Batches
///
/// The RSVPs of a batch take one statement and one round trip. So do its cancels.
/// Two cases need one more round trip:
///
/// - With read replicas, the store reads the LSN of the write.
/// - After cancels of the last RSVPs of an event, the store drops the event's count.
///
/// The server runs a statement on one core, so a large batch is several statements.
/// Each of them uses its own connection and succeeds or fails on its own.
///
/// - A batch of 1,024 pairs or more takes two to four statements at once, as far as the pool has
///   connections.
/// - A statement has at most 4,096 pairs. A larger batch takes more statements, up to four at once.
/// - If the server refuses a statement for its content, the store divides it until it finds
///   the culprit. An example is a character outside the database's encoding.
///
/// # Locks
///
/// A write waits for locks of other sessions for at most the
/// [`lock_timeout`](PostgresConfig::with_lock_timeout).
/// Then it fails as [`TimedOut`](rsvp_core::Error::TimedOut) without any effect.
/// Only writes of the locked event fail.
/// They are tried one at a time on one connection, until one of them succeeds.
///
/// A fifth of the connections is left to reads, so reads do not wait for writes.
/// If a synchronous standby is away, one write at a time is tried.
/// A write without a place within the `acquire_timeout` is refused as
/// [`Overloaded`](rsvp_core::Error::Overloaded).
///
/// # Time
///
/// The timeouts of the [`PostgresConfig`] and the deadline of the call bound every call.
/// A call runs on its own task, so a write is finished even after its caller goes away.
/// The store keeps the last third of a call's time, and at most a second, for stopping the call:
///
/// 1. It asks the server to cancel the statement, on a connection beside the pool.
///    The answer of the server is final.
/// 2. Without an answer, the store closes the connection and tells the server's process to end.
///    Once the process is gone, or can change nothing any more, the effect of the write is
///    [`Unknown`](rsvp_core::Effect::Unknown).
/// 3. If the store cannot observe the end of the process, the effect is
///    [`Pending`](rsvp_core::Effect::Pending). Later writes of the same events fail as
///    [`Unavailable`](rsvp_core::Error::Unavailable), without any effect, until the write is
///    settled. Reads and writes of other events go on.
///
/// A write carries the latest server time at which it may begin.
/// If a suspended server process reads the write later, it does nothing.
/// A connection reads the server's clock when it is opened and once a minute.
/// If the clock is set back, a late write may begin later by the same time, until the next reading.
/// If the clock is set forward, the server may refuse a write too early.
/// Then the store reads the clock again and repeats the write.
///
/// # Replicas
///
/// | consistency | server |
/// |---|---|
/// | [`Strong`](rsvp_core::Consistency::Strong) | the primary |
/// | [`Session`](rsvp_core::Consistency::Session) | a replica at or past the token's LSN |
/// | [`Bounded`](rsvp_core::Consistency::Bounded) | a replica known to be within the bound |
/// | [`Eventual`](rsvp_core::Consistency::Eventual) | any replica |
///
/// Without such a replica, the primary answers.
/// If the replicas are too busy, the primary serves a few of their reads at once.
/// Their number is a fifth of the `pool_size`.
/// The other reads fail as [`Overloaded`](rsvp_core::Error::Overloaded).
/// During bounded reads the store asks the primary for its LSN a few times a second,
/// to know the lag of the replicas.
///
/// # Audit and repair
///
/// Counts differ from the rows only after another program has changed the tables.
/// [`maintenance`](rsvp_core::RsvpStore::maintenance) finds and corrects wrong counts.
/// It may run during reads and writes, on up to four connections of its own.
///
/// ```no_run
/// use rsvp_core::{Result, RsvpStore};
/// use rsvp_postgres::PostgresStore;
///
/// /// Repairs the counts after an import.
/// async fn repair(store: &PostgresStore) -> Result<()> {
///     let Some(maintenance) = store.maintenance() else { return Ok(()) };
///     for finding in maintenance.repair().await?.findings {
///         println!("{}: {:?}", finding.event, finding.kind);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: PostgresConfig,
    primary: Pool,
    durability: Durability,
    replicas: Replicas,
    auditor: Auditor,
    locked: LockedEvents,
    /// A permit for each read that goes to the primary because replicas are busy.
    overflow: Semaphore,
    removal_keys: RemovalKeys,
}

impl PostgresStore {
    /// Connects to the primary and checks its tables.
    ///
    /// ```no_run
    /// use rsvp_postgres::{PostgresConfig, PostgresStore};
    ///
    /// # async fn example() -> rsvp_core::Result<()> {
    /// let config = PostgresConfig::from_url("postgres://app:secret@db/tickets")?;
    /// let store = PostgresStore::open(config).await?;
    /// println!("an acknowledged write survives: {:?}", store.durability());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) with the field of a wrong setting,
    ///   with the field `schema` if the tables are missing or of another version,
    ///   or with the field `database` if its encoding is not UTF-8
    /// - [`Error::Unavailable`](rsvp_core::Error::Unavailable) if no host accepts writes
    /// - any other error of the server
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        config.check()?;
        // The tables come first, because opening checks their version.
        if config.migrate {
            migrate(&config).await?;
        }
        let schema = config.schema_name()?;
        let sql = Arc::new(Statements::new(&schema));
        let latest = Latest::default();
        let primary = Pool::new(Connector::primary(&config, &latest), (&config).into(), &sql)?;
        let durability = primary.run(Opening, None).await?.check(&schema)?;
        let replicas = Replicas::new(&config, &sql)?;
        let auditor = Auditor::new(&config, &latest, &sql)?;
        let (locked, removal_keys) = Default::default();
        let overflow = Semaphore::new(config.pool_size.div_ceil(5));
        let inner = Inner {
            config,
            primary,
            durability,
            replicas,
            auditor,
            locked,
            overflow,
            removal_keys,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the configuration of the store.
    pub fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// Returns the durability of acknowledged writes.
    /// It follows from the primary's settings when the store was opened.
    ///
    /// ```
    /// use rsvp_postgres::{Durability, PostgresStore};
    ///
    /// /// Accepts a server only if it keeps acknowledged writes after a loss of power.
    /// fn is_safe(store: &PostgresStore) -> bool {
    ///     store.durability() >= Durability::Disk
    /// }
    /// ```
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// Returns the number of open connections to the primary, and how many of them are idle.
    ///
    /// ```
    /// use rsvp_postgres::PostgresStore;
    ///
    /// /// Returns the number of connections in use, for a gauge.
    /// fn in_use(store: &PostgresStore) -> usize {
    ///     let (open, idle) = store.connections();
    ///     open - idle
    /// }
    /// ```
    pub fn connections(&self) -> (usize, usize) {
        self.inner.primary.connections()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { config, primary, replicas, .. } = &*self.inner;
        f.debug_struct("PostgresStore")
            .field("config", config)
            .field("primary", primary)
            .field("replicas", replicas)
            .finish_non_exhaustive()
    }
}
