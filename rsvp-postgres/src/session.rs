//! Opening connections: to whichever host accepts writes, or to one replica.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::PostgresConfig;
use crate::config::{Host, SslMode};
use crate::error::ConnectError;

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
    /// The database cluster's system identifier: standbys share it with their primary.
    pub(crate) origin: u64,
    /// The server is known to have replayed its log up to here.
    pub(crate) replayed: u64,
    /// A call is using it, or left it in an unknown state.
    pub(crate) in_use: bool,
    /// A statement of the present call has taken effect.
    pub(crate) applied: bool,
}

/// Opens connections to the first of its hosts that will do, beginning with the one that did
/// last.
#[derive(Debug)]
pub(crate) struct Connector {
    hosts: Vec<PgConnectOptions>,
    last: AtomicUsize,
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
        Self { hosts, last: AtomicUsize::new(0), role, connect_timeout }
    }

    /// Opens a connection to the first host that will do.
    pub(crate) async fn connect(&self) -> Result<Session, ConnectError> {
        let first = self.last.load(Ordering::Relaxed);
        let mut failure = ConnectError::ReadOnly;
        for offset in 0..self.hosts.len() {
            let at = (first + offset) % self.hosts.len();
            let Some(host) = self.hosts.get(at) else { continue };
            match timeout(self.connect_timeout, self.connect_to(host)).await {
                Ok(Ok(Some(session))) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(session);
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => failure = ConnectError::Failed(error),
                Err(_) => failure = ConnectError::TimedOut(self.connect_timeout),
            }
        }
        Err(failure)
    }

    /// Nothing if the host does not do for the role.
    async fn connect_to(&self, host: &PgConnectOptions) -> sqlx::Result<Option<Session>> {
        let mut connection = host.connect().await?;
        let (read_only, origin): (bool, i64) = sqlx::query_as(
            "SELECT current_setting('transaction_read_only')::bool, \
             (SELECT system_identifier FROM pg_control_system())",
        )
        .fetch_one(&mut connection)
        .await?;
        if read_only && self.role == Role::Primary {
            return Ok(None);
        }
        let origin = origin.cast_unsigned();
        Ok(Some(Session { connection, origin, replayed: 0, in_use: false, applied: false }))
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
        if session.in_use {
            return Err(RecycleError::message("a call left it in an unknown state"));
        }
        if metrics.last_used() > TRUSTED_IDLE {
            let alive = timeout(self.connect_timeout, session.connection.ping()).await;
            if !matches!(alive, Ok(Ok(()))) {
                return Err(RecycleError::message("it did not answer after being idle"));
            }
        }
        Ok(())
    }
}

/// Every statement of a call is prepared once and has one good plan: nested loops over index
/// look-ups. Without this, the plan that was made while the tables were empty would scan them,
/// and would be kept until they are next analyzed.
const ONE_PLAN: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

fn options(
    config: &PostgresConfig,
    host: &Host,
    statement_timeout: Option<Duration>,
) -> PgConnectOptions {
    let timeout = statement_timeout.map_or(0, |timeout| timeout.as_millis());
    // The environment and ~/.pgpass have no say: what is set here is all there is.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host.name)
        .port(host.port)
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
    if let Some(password) = &config.password {
        options = options.password(&password.0);
    }
    if let Some(file) = &config.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    options.disable_statement_logging()
}
