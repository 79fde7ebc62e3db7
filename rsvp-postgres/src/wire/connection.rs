//! Opening connections: to whichever host accepts writes, or to one replica.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use rsvp_core::url::{Host, Secret};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::PostgresConfig;
use crate::config::{DEFAULT_PORT, SslMode};
use crate::sql;
use crate::wire::failure::ConnectError;

/// A connection that was idle for longer is asked whether it still lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Writes and strong reads: only a host that accepts writes will do.
    Primary,
    /// Reads: any host.
    Replica,
}

/// An open connection, used by one call at a time.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: PgConnection,
    /// The log that this server writes or replays: see [`origin`].
    pub(crate) origin: u64,
    /// Which of the connector's generations it is of.
    generation: u64,
    /// The server is known to have replayed its log up to here.
    pub(crate) replayed: u64,
    /// A call is using it, or left it in an unknown state.
    pub(crate) in_use: bool,
    /// It should be opened anew before it is used again.
    pub(crate) outdated: bool,
    /// A statement of the present call has taken effect.
    pub(crate) applied: bool,
}

/// Opens connections to the first of its hosts that will do, beginning with the one that did
/// last.
pub(crate) struct Connector {
    hosts: Vec<PgConnectOptions>,
    last: AtomicUsize,
    /// The origin of the last connection.
    origin: AtomicU64,
    /// Grows whenever all connections so far are given up; those of earlier ones are not used
    /// again.
    generation: AtomicU64,
    role: Role,
    connect_timeout: Duration,
}

impl Connector {
    pub(crate) fn primary(config: &PostgresConfig) -> Self {
        Self::new(config, &config.hosts, Role::Primary, Some(config.statement_timeout))
    }

    pub(crate) fn replica(config: &PostgresConfig, host: &Host) -> Self {
        let hosts = std::slice::from_ref(host);
        Self::new(config, hosts, Role::Replica, Some(config.statement_timeout))
    }

    /// For statements that may take as long as they need.
    pub(crate) fn maintenance(config: &PostgresConfig) -> Self {
        Self::new(config, &config.hosts, Role::Primary, None)
    }

    fn new(
        config: &PostgresConfig,
        hosts: &[Host],
        role: Role,
        statement_timeout: Option<Duration>,
    ) -> Self {
        let hosts = hosts.iter().map(|host| options(config, host, statement_timeout)).collect();
        let connect_timeout = config.connect_timeout;
        let (last, origin, generation) = Default::default();
        Self { hosts, last, origin, generation, role, connect_timeout }
    }

    /// The log that the server of the last connection writes or replays.
    pub(crate) fn origin(&self) -> u64 {
        self.origin.load(Ordering::Acquire)
    }

    /// Gives up all connections so far, those in use too once they come back.
    pub(crate) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// How long connecting may take, with every host silent.
    pub(crate) fn patience(&self) -> Duration {
        self.connect_timeout.saturating_mul(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX))
    }

    /// Opens a connection to the first host that will do.
    pub(crate) async fn connect(&self) -> Result<Session, ConnectError> {
        let first = self.last.load(Ordering::Relaxed);
        // Before connecting, so that a connection which was under way is given up as well.
        let generation = self.generation.load(Ordering::Acquire);
        let mut failures = Vec::new();
        for offset in 0..self.hosts.len() {
            let at = (first + offset) % self.hosts.len();
            let Some(host) = self.hosts.get(at) else { continue };
            match timeout(self.connect_timeout, self.connect_to(host)).await {
                Ok(Ok(Some(session))) => {
                    self.last.store(at, Ordering::Relaxed);
                    self.origin.store(session.origin, Ordering::Release);
                    return Ok(Session { generation, ..session });
                }
                Ok(Ok(None)) => failures.push(ConnectError::ReadOnly),
                Ok(Err(error)) => failures.push(ConnectError::Failed(error)),
                Err(_) => failures.push(ConnectError::TimedOut(self.connect_timeout)),
            }
        }
        // One host that may come back keeps the others' errors from being final.
        failures.sort_by_key(ConnectError::is_permanent);
        Err(failures.into_iter().next().unwrap_or(ConnectError::ReadOnly))
    }

    /// Nothing if the host does not do for the role.
    async fn connect_to(&self, host: &PgConnectOptions) -> sqlx::Result<Option<Session>> {
        let mut connection = host.connect().await?;
        let query = sqlx::query_as(sql::HOST);
        let (read_only, system, timeline): (bool, i64, i64) =
            query.fetch_one(&mut connection).await?;
        if read_only && self.role == Role::Primary {
            return Ok(None);
        }
        let origin = origin(system.cast_unsigned(), timeline.cast_unsigned());
        let (replayed, generation) = (0, 0);
        let (in_use, outdated, applied) = (false, false, false);
        let session =
            Session { connection, origin, generation, replayed, in_use, outdated, applied };
        Ok(Some(session))
    }
}

/// What names a log whose positions can be compared: the database cluster's system identifier,
/// which standbys share with their primary, and the timeline. After a promotion positions are
/// used again for other writes, on another timeline.
fn origin(system: u64, timeline: u64) -> u64 {
    // An odd factor, so that no two timelines of a cluster meet.
    system ^ timeline.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl fmt::Debug for Connector {
    /// Without the options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hosts.len();
        f.debug_struct("Connector").field("role", &self.role).field("hosts", &hosts).finish()
    }
}

impl Manager for Connector {
    type Type = Session;
    type Error = ConnectError;

    async fn create(&self) -> Result<Session, ConnectError> {
        self.connect().await
    }

    async fn recycle(
        &self,
        session: &mut Session,
        metrics: &Metrics,
    ) -> RecycleResult<ConnectError> {
        if session.in_use || session.outdated {
            return Err(RecycleError::message("a call left it in an unknown state"));
        }
        if session.generation != self.generation.load(Ordering::Acquire) {
            return Err(RecycleError::message("its server was given up"));
        }
        if metrics.last_used() > TRUSTED_IDLE {
            let alive = timeout(self.connect_timeout, session.connection.ping()).await;
            if !matches!(alive, Ok(Ok(()))) {
                // The others were idle as long; asking each would take as long again.
                self.next_generation();
                return Err(RecycleError::message("it did not answer after being idle"));
            }
        }
        Ok(())
    }
}

/// Every statement of a call is prepared once and has one good plan: nested loops over index
/// look-ups. Without this, the plan that was made while the tables were empty would scan them,
/// and would be kept until they are next analyzed.
const ONE_PLAN: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
];

fn options(
    config: &PostgresConfig,
    host: &Host,
    statement_timeout: Option<Duration>,
) -> PgConnectOptions {
    let timeout = statement_timeout.map_or(0, |timeout| timeout.as_millis());
    // What is set here overrides libpq's environment variables; PGOPTIONS is prepended by the
    // driver, and ~/.pgpass is not read.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host.name)
        .port(host.port.unwrap_or(DEFAULT_PORT))
        .username(&config.user)
        .database(&config.database)
        .application_name(&config.application_name)
        .ssl_mode(match config.ssl_mode {
            SslMode::Disable => PgSslMode::Disable,
            #[cfg(feature = "tls")]
            SslMode::Prefer => PgSslMode::Prefer,
            #[cfg(feature = "tls")]
            SslMode::Require => PgSslMode::Require,
            #[cfg(feature = "tls")]
            SslMode::VerifyCa => PgSslMode::VerifyCa,
            #[cfg(feature = "tls")]
            SslMode::VerifyFull => PgSslMode::VerifyFull,
        })
        .options([
            ("statement_timeout", timeout.to_string().as_str()),
            // The statements are written for this level, whatever the database's default is.
            ("default_transaction_isolation", "read committed"),
        ]);
    if statement_timeout.is_some() {
        options = options.options(ONE_PLAN);
    }
    if host.name.starts_with('/') {
        options = options.socket(&host.name);
    }
    // Also if there is none: PGPASSWORD may be meant for another server.
    options = options.password(config.password.as_ref().map_or("", Secret::expose));
    if let Some(file) = &config.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    options.disable_statement_logging()
}
