//! Opening connections: to the host that accepts writes, or to one replica.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use rsvp_core::backend::HostRotation;
use rsvp_core::url::Host;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use super::backend::Backend;
use super::clock::ServerClock;
use super::connection::Connection;
use super::failure::ConnectError;
use super::lsn::{LogId, Timeline};
use super::options::options;
use super::session::Session;
use crate::config::PostgresConfig;

/// Whether a host accepts writes, its log, the connection's process, the clock, the session's
/// statement timeout, and settings that the client made when it connected.
const HOST: &str = include_str!("../sql/host.sql");

/// A connection that was idle for longer is tested before it is used. Servers, poolers and firewalls
/// end sessions that are idle.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// The server's clock is read again after so long, because clocks drift.
const TRUSTED_CLOCK: Duration = Duration::from_secs(60);

/// The role that a server must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Writes and strong reads: the host must accept writes.
    Primary,
    /// Reads: any host.
    Replica,
}

/// Opens connections to the first suitable host, beginning with the one that was suitable last.
pub(crate) struct Connector {
    hosts: HostRotation<PgConnectOptions>,
    /// The log of the last connection, as tokens hold it.
    log: AtomicU64,
    /// Grows whenever all connections so far are given up. Connections of an earlier generation
    /// are not used again.
    generation: AtomicU64,
    /// Grows whenever a connection has fallen silent. The others are tested before they are used.
    suspicions: AtomicU64,
    role: Role,
    /// The statement timeout that each session must have.
    statement_timeout: Option<Duration>,
    session: Session,
    connect_timeout: Duration,
}

impl Connector {
    /// For writes and strong reads.
    pub(crate) fn primary(config: &PostgresConfig) -> Self {
        Self::new(config, &config.hosts, Role::Primary, Some(config.statement_timeout))
    }

    /// For reads from the replica at `host`.
    pub(crate) fn replica(config: &PostgresConfig, host: &Host) -> Self {
        let hosts = std::slice::from_ref(host);
        Self::new(config, hosts, Role::Replica, Some(config.statement_timeout))
    }

    /// For statements on the primary that may take as long as they need.
    pub(crate) fn maintenance(config: &PostgresConfig) -> Self {
        Self::new(config, &config.hosts, Role::Primary, None)
    }

    fn new(
        config: &PostgresConfig,
        hosts: &[Host],
        role: Role,
        statement_timeout: Option<Duration>,
    ) -> Self {
        let hosts = hosts.iter().map(|host| options(config, host)).collect();
        let name = &config.application_name;
        let session = Session::new(name, statement_timeout, config.transaction_pooler);
        Self::of_hosts(hosts, role, statement_timeout, session, config.connect_timeout)
    }

    fn of_hosts(
        hosts: Vec<PgConnectOptions>,
        role: Role,
        statement_timeout: Option<Duration>,
        session: Session,
        connect_timeout: Duration,
    ) -> Self {
        Self {
            hosts: HostRotation::new(hosts),
            log: AtomicU64::default(),
            generation: AtomicU64::default(),
            suspicions: AtomicU64::default(),
            role,
            statement_timeout,
            session,
            connect_timeout,
        }
    }

    /// For stopping what runs on the connections of this one. Their name ends with `control`.
    pub(crate) fn for_control(&self) -> Self {
        let named = |host: &PgConnectOptions| {
            let name = host.get_application_name().unwrap_or_default();
            host.clone().application_name(&format!("{name} control"))
        };
        let hosts = self.hosts.hosts().iter().map(named).collect();
        let session = self.session.clone();
        Self::of_hosts(hosts, self.role, self.statement_timeout, session, self.connect_timeout)
    }

    /// The log that the server of the last connection writes or replays.
    pub(crate) fn log(&self) -> LogId {
        LogId::from_token(self.log.load(Ordering::Acquire))
    }

    /// Gives up all connections so far, including those in use once their calls are done.
    pub(crate) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Has all connections so far tested before they are used again.
    pub(crate) fn suspect(&self) {
        self.suspicions.fetch_add(1, Ordering::AcqRel);
    }

    /// The longest time that [`connect`](Self::connect) takes, with every host silent.
    pub(crate) fn longest_connect(&self) -> Duration {
        self.hosts.patience(self.connect_timeout)
    }

    /// Opens a connection to the first suitable host.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        // Read before connecting, so that a connection which was under way is given up as well.
        let generation = self.generation.load(Ordering::Acquire);
        let suspicions = self.suspicions.load(Ordering::Acquire);
        let connected = self.hosts.connect(self.connect_timeout, |host| self.connect_to(host));
        let mut connection = connected.await.map_err(ConnectError::of_all)?;
        self.log.store(connection.log.to_token(), Ordering::Release);
        connection.generation = generation;
        connection.suspicions = suspicions;
        Ok(connection)
    }

    /// Opens a connection to `host` and asks the host for its role, its log and its clock.
    async fn connect_to(&self, host: &PgConnectOptions) -> Result<Connection, ConnectError> {
        let mut pg = host.connect().await?;
        let row: (bool, i64, i64, i32, Option<i64>, i64, i64, Option<String>) =
            self.session.begin(&mut pg, HOST).await?;
        let (read_only, system, timeline, pid, started, clock, timeout, foreign) = row;
        let clock = ServerClock::just_read(clock);
        if let Some(settings) = foreign {
            return Err(ConnectError::ForeignSettings(settings));
        }
        if read_only && self.role == Role::Primary {
            return Err(ConnectError::ReadOnly);
        }
        let expected = self.statement_timeout.map(|timeout| timeout.as_millis());
        if expected.is_some_and(|expected| i128::try_from(expected) != Ok(timeout.into())) {
            return Err(ConnectError::SettingsIgnored);
        }
        let (system, number) = (system.cast_unsigned(), timeline.cast_unsigned());
        let timeline = Timeline { system, number };
        let backend = Backend { pid, started, transaction: None };
        Ok(Connection::new(pg, timeline, backend, self.session.clone(), clock))
    }
}

impl fmt::Debug for Connector {
    /// Without the options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hosts.hosts().len();
        f.debug_struct("Connector").field("role", &self.role).field("hosts", &hosts).finish()
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.connect().await
    }

    /// Decides whether a connection that comes back from a call is used again.
    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<ConnectError> {
        // 1. The call that used it has ended it well.
        if connection.in_use || connection.stale {
            return Err(RecycleError::message("a call left it in an unknown state"));
        }
        // 2. No connection to the same server has failed since.
        if connection.generation != self.generation.load(Ordering::Acquire) {
            return Err(RecycleError::message("its server was given up"));
        }
        // 3. It is alive, or was not long ago, and its clock is known.
        let suspicions = self.suspicions.load(Ordering::Acquire);
        let trusted = metrics.last_used() <= TRUSTED_IDLE
            && connection.suspicions == suspicions
            && connection.clock().age() <= TRUSTED_CLOCK;
        if !trusted {
            let alive = timeout(self.connect_timeout, connection.read_clock()).await;
            if !matches!(alive, Ok(Ok(()))) {
                // The others are as doubtful; asking each would take as long again.
                self.next_generation();
                return Err(RecycleError::message("it did not answer when it was tested"));
            }
            connection.suspicions = suspicions;
        }
        Ok(())
    }
}
