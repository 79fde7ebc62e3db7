//! The store: opening it, and what its calls share.

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
use crate::data::locked::LockedEvents;
use crate::data::removal_keys::RemovalKeys;
use crate::sql::Statements;
use crate::wire::connector::Connector;
use crate::wire::election::Latest;
use crate::wire::pool::Pool;
use crate::wire::replicas::Replicas;

/// Keeps RSVPs in Postgres.
///
/// An acknowledged write is committed, and as durable as the server's settings make it: with
/// `fsync` and `synchronous_commit` on, it survives `kill -9` and power loss. With a synchronous
/// standby it survives the loss of the primary; a write that repeats an earlier attempt is
/// acknowledged only when the standby has that one, too. Counts are exact: they move in the statement that
/// changes the rows, by the number of rows that it changed.
///
/// A batch is one statement and one round trip for its RSVPs, and one for its cancels if it has
/// any. With read replicas, one more round trip reads the LSN of the write. Of 1,024 pairs or more
/// it is written in two to four statements at once, each on a connection of its own, if the pool has
/// as many connections: the server works on a statement with one core. A statement has at most 4,096
/// pairs, so a larger batch has more statements, up to four at once. Each statement succeeds or
/// fails on its own. One that the server refuses for what is in it, such as a character that the
/// database's encoding lacks, is divided until the culprit is alone. A batch of cancels after which
/// nobody comes to some event costs one more round trip, which drops the event's count.
///
/// # Locks
///
/// A write waits for the locks of other sessions for at most the
/// [`lock_timeout`](PostgresConfig::with_lock_timeout), and then fails as
/// [`TimedOut`](rsvp_core::Error::TimedOut), without any effect. Only the writes of the locked event
/// fail. Until one of them succeeds, they are tried one at a time, on one connection. A fifth of the
/// connections is left to reads, so calls that change something wait for each other and not reads
/// for them. While commits wait for a synchronous standby that is away, one at a time is tried. Calls
/// that find no place within the `acquire_timeout` are refused as
/// [`Overloaded`](rsvp_core::Error::Overloaded).
///
/// Clones are cheap and share the connections.
///
/// # Time
///
/// Every call is bounded by the timeouts of its [`PostgresConfig`], and by its deadline. It runs on a
/// task of its own, so a write whose caller goes away is still finished. The last third of a
/// call's time, and at most a second, is kept for stopping it:
///
/// 1. The server is asked to cancel the statement, on a connection beside the pool. Its answer is
///    final.
/// 2. If the server does not answer, the connection is closed and the server's process is told to
///    end. When it is gone, or can change nothing any more, the effect of a write is
///    [`Unknown`](rsvp_core::Effect::Unknown).
/// 3. If that cannot be seen either, the effect is [`Pending`](rsvp_core::Effect::Pending). Later
///    writes of the same events fail as [`Unavailable`](rsvp_core::Error::Unavailable), without any
///    effect, until the write is settled. Other events and reads go on.
///
/// A write carries the time of the server until which it may begin, so that a process which was
/// stopped does nothing when it reads the write late. A connection reads the server's clock when it
/// is opened, and once a minute. A clock that somebody sets back afterwards lets a late write begin
/// later by so much, until it is read again. A clock that is set forward is read again when it
/// refuses a write that is in time.
///
/// # Replicas
///
/// [`Strong`](rsvp_core::Consistency::Strong) reads stay on the primary. A
/// [`Session`](rsvp_core::Consistency::Session) read goes to a replica that has replayed the log up
/// to the token's LSN, a [`Bounded`](rsvp_core::Consistency::Bounded) read to one that is known to be
/// within the bound, an [`Eventual`](rsvp_core::Consistency::Eventual) read to any. All go to the
/// primary if no replica will do. If replicas are too busy, a fifth of the `pool_size` of such reads
/// goes to the primary at once, and the others fail as [`Overloaded`](rsvp_core::Error::Overloaded).
/// To know the lag of the replicas, the store asks the primary for its LSN, a few times a second at
/// most and only while there are bounded reads.
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
    /// Held by reads that ask the primary because replicas are busy.
    overflow: Semaphore,
    removal_keys: RemovalKeys,
}

impl PostgresStore {
    /// Connects to the primary and checks its tables.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) with the field of the setting that
    /// is wrong, with the field `schema` if the tables are missing or of another version, or with the
    /// field `database` if its encoding is not UTF-8;
    /// [`Error::Unavailable`](rsvp_core::Error::Unavailable) if no host accepts writes; otherwise
    /// the error that the server reports.
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        config.check()?;
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

    /// The configuration that the store was opened with.
    pub fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// What an acknowledged write survives, by the primary's settings when the store was opened.
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// The number of open connections to the primary, and the number of idle ones among them.
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
