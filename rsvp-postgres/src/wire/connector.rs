//! The opening of connections to the primary, or to one replica.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use rsvp_core::url::Host;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use super::backend_process::Backend;
use super::connect_options::options;
use super::connection::Connection;
use super::election::{Latest, elect};
use super::failure::ConnectError;
use super::lsn::Timeline;
use super::server_clock::ServerClock;
use super::server_session::Session;
use crate::config::{Login, PostgresConfig, Provider};

/// The role of a host, the connection's process, the clock, the session's statement timeout,
/// settings of the client's environment, and the log if needed.
const HOST: &str = include_str!("../sql/host.sql");

/// The log of a host, as columns of [`HOST`].
const LOG: &str = include_str!("../sql/log.sql");

/// A connection that was idle for longer is tested before its next use.
/// Servers, poolers and firewalls end idle sessions.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// The choice among several hosts is trusted for this time, by new connections and by reads on a
/// read-only server.
const TRUSTED_CHOICE: Duration = Duration::from_secs(1);

/// The role that a server must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The host must be a primary, for writes and strong reads.
    Primary,
    /// Any host will do, for other reads.
    Replica,
}

/// The choice among several hosts.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    place: usize,
    timeline: Timeline,
    read_only: bool,
    at: Instant,
}

impl Chosen {
    fn is_trusted(&self) -> bool {
        self.at.elapsed() < TRUSTED_CHOICE
    }
}

/// Opens connections to the primary among its hosts, or to a replica.
pub(crate) struct Connector {
    hosts: Vec<PgConnectOptions>,
    /// The host of the last connection.
    chosen: Mutex<Option<Chosen>>,
    /// Held while all hosts are asked.
    choosing: AsyncMutex<()>,
    latest: Latest,
    /// Whether to ask for the log. Some servers refuse the functions for it.
    asks_log: bool,
    /// Grows whenever all connections so far are given up. Connections of an earlier generation
    /// are not used again.
    generation: AtomicU64,
    /// Grows whenever a connection has fallen silent. The others are tested before their next use.
    suspicions: AtomicU64,
    role: Role,
    /// The statement timeout that each session must have.
    statement_timeout: Option<Duration>,
    session: Session,
    /// Gives the password of each connection, if the options have none.
    passwords: Option<Provider>,
    connect_timeout: Duration,
}

impl Connector {
    /// Makes a connector for writes and strong reads.
    pub(crate) fn primary(config: &PostgresConfig, latest: &Latest) -> Self {
        let timeout = Some(config.statement_timeout);
        Self::new(config, &config.hosts, Role::Primary, timeout, latest)
    }

    /// Makes a connector for reads from the replica at `host`.
    pub(crate) fn replica(config: &PostgresConfig, host: &Host) -> Self {
        let (hosts, timeout) = (std::slice::from_ref(host), Some(config.statement_timeout));
        Self::new(config, hosts, Role::Replica, timeout, &Latest::default())
    }

    /// Makes a connector for maintenance of the primary, with statements of any duration.
    pub(crate) fn maintenance(config: &PostgresConfig, latest: &Latest) -> Self {
        Self::new(config, &config.hosts, Role::Primary, None, latest)
    }

    fn new(
        config: &PostgresConfig,
        hosts: &[Host],
        role: Role,
        statement_timeout: Option<Duration>,
        latest: &Latest,
    ) -> Self {
        Self {
            hosts: hosts.iter().map(|host| options(config, host)).collect(),
            chosen: Mutex::default(),
            choosing: AsyncMutex::default(),
            latest: latest.clone(),
            // A single server without replicas needs no comparison.
            asks_log: config.hosts.len() > 1 || config.replica_hosts().next().is_some(),
            generation: AtomicU64::default(),
            suspicions: AtomicU64::default(),
            role,
            statement_timeout,
            session: Session::new(config, statement_timeout),
            passwords: config.password_provider.clone(),
            connect_timeout: config.connect_timeout,
        }
    }

    /// Makes a connector for control connections. They stop calls on the connections of this one,
    /// and their name ends with `control`.
    pub(crate) fn for_control(&self) -> Self {
        let named = |host: &PgConnectOptions| {
            let name = host.get_application_name().unwrap_or_default();
            host.clone().application_name(&format!("{name} control"))
        };
        Self {
            hosts: self.hosts.iter().map(named).collect(),
            chosen: Mutex::default(),
            choosing: AsyncMutex::default(),
            latest: self.latest.clone(),
            asks_log: self.asks_log,
            generation: AtomicU64::default(),
            suspicions: AtomicU64::default(),
            role: self.role,
            statement_timeout: self.statement_timeout,
            session: self.session.clone(),
            passwords: self.passwords.clone(),
            connect_timeout: self.connect_timeout,
        }
    }

    /// Returns the timeline of the server of the last connection.
    pub(crate) fn timeline(&self) -> Timeline {
        self.chosen().map(|chosen| chosen.timeline).unwrap_or_default()
    }

    /// Returns the generation of the usable connections.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Gives up all connections so far, including those in use once their calls are done.
    pub(crate) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Has all connections so far tested before their next use.
    pub(crate) fn suspect(&self) {
        self.suspicions.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the longest time of [`connect`](Self::connect), with every host silent.
    pub(crate) fn longest_connect(&self) -> Duration {
        // The wait for another task's round, the chosen host, and a round of all hosts.
        let rounds = if self.seeks() { 3 } else { 1 };
        self.connect_timeout * rounds
    }

    /// Whether the primary must be found among several hosts.
    fn seeks(&self) -> bool {
        self.role == Role::Primary && self.hosts.len() > 1
    }

    /// Opens a connection to the primary, or to the replica.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        // 1. The generation before the connection, so that a connection under way is given up, too.
        let generation = self.generation();
        let suspicions = self.suspicions.load(Ordering::Acquire);
        // 2. The connection. Among several hosts, one task at a time asks them all.
        let mut connection = if self.seeks() {
            self.seek().await?
        } else {
            let connection = self.connect_in_time(0).await?;
            self.note_choice(0, &connection);
            connection
        };
        connection.generation = generation;
        connection.suspicions = suspicions;
        Ok(connection)
    }

    /// Connects to the primary among several hosts.
    async fn seek(&self) -> Result<Connection, ConnectError> {
        let trusted = |since: Instant| self.chosen().filter(|chosen| chosen.at >= since);
        // 1. The host of a choice made a moment ago, or under way now.
        drop(self.choosing.lock().await);
        let began = Instant::now();
        if let Some(Chosen { place, .. }) = trusted(began - TRUSTED_CHOICE)
            && let Ok(connection) = self.connect_in_time(place).await
        {
            return Ok(connection);
        }
        // 2. The best of all hosts. Another task may have chosen it since.
        let _choosing = self.choosing.lock().await;
        match trusted(began) {
            Some(Chosen { place, .. }) => self.connect_in_time(place).await,
            None => self.choose().await,
        }
    }

    /// Looks for a better host than that of the last connection, unless a task did so a moment ago.
    /// If there is one, all connections so far are given up.
    pub(crate) async fn verify(&self) {
        if self.seeks() {
            let _choosing = self.choosing.lock().await;
            if let Some(chosen) = self.chosen().filter(|chosen| !chosen.is_trusted()) {
                self.choose_again(chosen).await;
            }
        }
    }

    /// Looks for a better host, as [`verify`](Self::verify), after a connection of this generation
    /// found its server read-only. An earlier choice of a writable primary is not trusted then.
    /// Tells whether the connection is still usable.
    pub(crate) async fn verify_read_only(&self, generation: u64) -> bool {
        if self.seeks() {
            let _choosing = self.choosing.lock().await;
            let doubtful = |chosen: &Chosen| !chosen.read_only || !chosen.is_trusted();
            if self.generation() == generation
                && let Some(chosen) = self.chosen().filter(doubtful)
            {
                self.choose_again(chosen).await;
            }
        }
        self.generation() == generation
    }

    async fn choose_again(&self, before: Chosen) {
        match self.choose().await {
            Ok(connection) => {
                let is_better = connection.timeline != before.timeline
                    || self.chosen().is_some_and(|now| now.place != before.place)
                    || (before.read_only && !connection.read_only);
                if is_better {
                    self.next_generation();
                }
            }
            // The next round waits, because the hosts have just failed to answer.
            Err(_) => self.set_chosen(Chosen { at: Instant::now(), read_only: true, ..before }),
        }
    }

    /// Connects to the best of all hosts.
    async fn choose(&self) -> Result<Connection, ConnectError> {
        let connect = |place| self.connect_to(place);
        let (place, connection) =
            elect(&self.hosts, self.connect_timeout, &self.latest, connect).await?;
        self.note_choice(place, &connection);
        Ok(connection)
    }

    async fn connect_in_time(&self, place: usize) -> Result<Connection, ConnectError> {
        let limit = self.connect_timeout;
        let connecting = timeout(limit, self.connect_to(place)).await;
        let connection = connecting.map_err(|_| ConnectError::TimedOut(limit))??;
        if self.role == Role::Primary && self.latest.has_replaced(connection.timeline) {
            return Err(ConnectError::Replaced);
        }
        Ok(connection)
    }

    /// Opens a connection to the host at a place and makes the settings.
    /// Asks the host for its role, its log and its clock.
    async fn connect_to(&self, place: usize) -> Result<Connection, ConnectError> {
        // 1. One round trip after the login.
        let host = self.hosts.get(place).ok_or(ConnectError::ReadOnly)?;
        let mut pg = match &self.passwords {
            Some(passwords) => with_password(host, passwords).await?.connect().await?,
            None => host.connect().await?,
        };
        let log = if self.asks_log { LOG } else { "0::bigint, 0::bigint" };
        let row: (bool, bool, i32, Option<i64>, i64, i64, Option<String>, i64, i64) =
            self.session.begin(&mut pg, &HOST.replace("{log}", log)).await?;
        let (standby, read_only, pid, started, clock, timeout, foreign, system, number) = row;
        let clock = ServerClock::just_read(clock);
        // 2. A session that would break a promise of the store is refused.
        if let Some(settings) = foreign {
            return Err(ConnectError::ForeignSettings(settings));
        }
        if standby && self.role == Role::Primary {
            // Closed in order, so that the server logs no lost connection.
            pg.close().await?;
            return Err(ConnectError::ReadOnly);
        }
        let expected = self.statement_timeout.map(|timeout| timeout.as_millis());
        if expected.is_some_and(|expected| i128::try_from(expected) != Ok(timeout.into())) {
            return Err(ConnectError::SettingsIgnored);
        }
        // 3. The connection.
        let timeline = Timeline { system: system.cast_unsigned(), number: number.cast_unsigned() };
        let backend = Backend { pid, started, transaction: None, begun_by: i64::MAX };
        let mut connection = Connection::new(pg, timeline, backend, self.session.clone(), clock);
        connection.read_only = read_only;
        Ok(connection)
    }

    fn note_choice(&self, place: usize, connection: &Connection) {
        if self.role == Role::Primary {
            self.latest.note(connection.timeline);
        }
        let Connection { timeline, read_only, .. } = *connection;
        self.set_chosen(Chosen { place, timeline, read_only, at: Instant::now() });
    }

    fn set_chosen(&self, chosen: Chosen) {
        *self.chosen_mut() = Some(chosen);
    }

    fn chosen(&self) -> Option<Chosen> {
        *self.chosen_mut()
    }

    fn chosen_mut(&self) -> MutexGuard<'_, Option<Chosen>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the options with the password of the provider.
async fn with_password(
    host: &PgConnectOptions,
    passwords: &Provider,
) -> Result<PgConnectOptions, ConnectError> {
    let login = Login {
        host: host.get_host(),
        port: host.get_port(),
        user: host.get_username(),
        database: host.get_database().unwrap_or_default(),
    };
    let password = passwords.password(login).await.map_err(ConnectError::NoPassword)?;
    Ok(host.clone().password(password.expose()))
}

impl fmt::Debug for Connector {
    /// Omits the options, because they hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hosts.len();
        f.debug_struct("Connector").field("role", &self.role).field("hosts", &hosts).finish()
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.connect().await.map_err(|error| error.of_hosts(&self.hosts))
    }

    /// Decides whether a connection is used again after a call.
    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<ConnectError> {
        // 1. The last call on it has ended well.
        if connection.in_use || connection.stale {
            return Err(RecycleError::message("a call left it in an unknown state"));
        }
        // 2. No connection to the same server has failed since.
        if connection.generation != self.generation() {
            return Err(RecycleError::message("its server was given up"));
        }
        // 3. It is alive, or was not long ago.
        let suspicions = self.suspicions.load(Ordering::Acquire);
        let trusted = metrics.last_used() <= TRUSTED_IDLE && connection.suspicions == suspicions;
        if !trusted {
            let alive = timeout(self.connect_timeout, connection.renew()).await;
            if !matches!(alive, Ok(Ok(()))) {
                // The others are as doubtful, and testing each would take as long again.
                self.next_generation();
                return Err(RecycleError::message("it did not answer when it was tested"));
            }
            connection.suspicions = suspicions;
        }
        Ok(())
    }
}
