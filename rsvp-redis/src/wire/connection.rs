//! One connection, and the connector that makes it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisResult, Value, cmd,
};
use rsvp_core::backend::{HostFailure, HostRotation};
use rsvp_core::url::Host;
use tokio::time::Instant;

use crate::config::{DEFAULT_PORT, RedisConfig};
use crate::wire::failure::{ConnectError, Failure, handshake_error, loss, refusal};

/// How long a server's word that it is the primary is trusted.
const TRUSTED_ROLE: Duration = Duration::from_millis(100);

/// Requests that may wait to be written to a connection.
const BUFFERED_REQUESTS: usize = 1024;

/// A connection that any number of calls share. A clone is the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    driver: MultiplexedConnection,
    response_timeout: Duration,
    /// The server's process. Another process has other `SCAN` cursors.
    pub(crate) server: u64,
    /// The moment at which it was made.
    pub(crate) born: Instant,
    closed: Arc<AtomicBool>,
    /// The moment at which the server last said that it is a primary. `None` in a cluster, where
    /// replicas redirect reads.
    primary_at: Option<Arc<Mutex<Instant>>>,
}

impl Connection {
    /// Sends a pipeline and returns its replies. Waits for `extra` on top of the response timeout,
    /// since `WAIT` blocks.
    pub(crate) async fn send(
        &self,
        mut pipeline: Pipeline,
        extra: Duration,
    ) -> Result<Replies, Failure> {
        let (asked, asks_role) = (Instant::now(), self.asks_role());
        if asks_role {
            pipeline.cmd("ROLE");
        }
        let (mut driver, count) = (self.driver.clone(), pipeline.len());
        let waited = self.response_timeout + extra;
        driver.set_response_timeout(waited);
        let replies = driver.send_packed_commands(&pipeline, 0, count).await;
        let replies = replies.map_err(|error| loss(error, waited)).map(|mut values| {
            let role = if asks_role { values.pop() } else { None };
            let demoted = asks_role.then(|| self.check_role(role, asked).err()).flatten();
            Replies { values, demoted }
        });
        let failure = replies.as_ref().map_or_else(Some, |replies| replies.demoted.as_ref());
        if failure.is_some_and(Failure::evicts) {
            self.close();
        }
        replies
    }

    /// Whether the server's role must be asked for again. A demoted primary would answer reads for
    /// ever.
    fn asks_role(&self) -> bool {
        self.primary_at.as_ref().is_some_and(|at| {
            at.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > TRUSTED_ROLE
        })
    }

    fn check_role(&self, role: Option<Value>, asked: Instant) -> Result<(), Failure> {
        match (role, &self.primary_at) {
            (Some(Value::Array(role)), Some(at)) => {
                if is_primary(&role) {
                    *at.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    return Ok(());
                }
                let kind = redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
                Err(Failure::ReadOnly((kind, "the server has become a replica").into()))
            }
            // Without the right to `ROLE`.
            (Some(Value::ServerError(error)), _) => Err(refusal(error.into())),
            _ => Err(Failure::Malformed("unexpected reply to ROLE")),
        }
    }

    /// Keeps new calls off the connection. Calls that are under way may finish.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// The replies to a pipeline.
pub(crate) struct Replies {
    /// One value for each command.
    pub(crate) values: Vec<Value>,
    /// The reason why reads among them are stale: the server is no longer the primary.
    pub(crate) demoted: Option<Failure>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Makes connections to the first of several hosts that accepts one.
pub(crate) struct Connector {
    config: Arc<RedisConfig>,
    hosts: HostRotation<Host>,
}

impl Connector {
    pub(crate) fn new(config: Arc<RedisConfig>, hosts: Vec<Host>) -> Self {
        Self { config, hosts: HostRotation::new(hosts) }
    }

    /// Tries the hosts in turn, each for the connect timeout.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let connecting =
            self.hosts.connect(self.config.connect_timeout, |host| self.connect_to(host));
        let failures = match connecting.await {
            Ok(connection) => return Ok(connection),
            Err(failures) => failures,
        };
        let errors = failures.into_iter().map(|failure| match failure {
            HostFailure::TimedOut(after) => ConnectError::TimedOut(after),
            HostFailure::Failed(error) => error,
        });
        // One host that may come back makes the whole retryable.
        Err(errors.min_by_key(ConnectError::is_permanent).unwrap_or(ConnectError::ReadOnly))
    }

    async fn connect_to(&self, host: &Host) -> Result<Connection, ConnectError> {
        let client = client(&self.config, host).map_err(ConnectError::Failed)?;
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        let on_push = move |push: PushInfo| -> Result<(), ()> {
            if push.kind == PushKind::Disconnection {
                is_closed.store(true, Ordering::Release);
            }
            Ok(())
        };
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.connect_timeout))
            .set_pipeline_buffer_size(BUFFERED_REQUESTS)
            .set_push_sender(on_push);
        let driver = client.get_multiplexed_async_connection_with_config(&options).await;
        let mut driver = driver.map_err(handshake_error)?;
        let born = Instant::now();
        let server = self.handshake(&mut driver).await?;
        let primary_at = (!self.config.cluster).then(|| Arc::new(Mutex::new(born)));
        let response_timeout = self.config.response_timeout;
        Ok(Connection { driver, response_timeout, server, born, closed, primary_at })
    }

    /// Checks the server's mode and role, and returns the process that it is.
    async fn handshake(&self, driver: &mut MultiplexedConnection) -> Result<u64, ConnectError> {
        let info: RedisResult<String> = cmd("INFO").arg("server").query_async(driver).await;
        let info = info.map_err(handshake_error)?;
        let field = |name| {
            let mut fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
            fields.find(|(field, _)| *field == name).map(|(_, value)| value)
        };
        match (field("redis_mode"), self.config.cluster) {
            (Some("cluster"), false) => return Err(ConnectError::OtherMode(CLUSTER)),
            (Some("standalone"), true) => return Err(ConnectError::OtherMode(NO_CLUSTER)),
            _ => {}
        }
        if !self.config.cluster {
            let role: RedisResult<Vec<Value>> = cmd("ROLE").query_async(driver).await;
            if !is_primary(&role.map_err(handshake_error)?) {
                return Err(ConnectError::ReadOnly);
            }
        }
        // 160 bits as hexadecimal digits, of which the first 64 identify it well enough.
        let run_id = field("run_id").and_then(|id| id.get(..16));
        run_id.and_then(|id| u64::from_str_radix(id, 16).ok()).ok_or(ConnectError::Anonymous)
    }
}

const CLUSTER: &str = "the server is a node of a cluster, whose URL begins with redis+cluster://";
const NO_CLUSTER: &str = "the server is not a node of a cluster; its URL begins with redis://";

/// Whether a reply to `ROLE` is that of a primary.
fn is_primary(role: &[Value]) -> bool {
    role.first() == Some(&Value::BulkString(b"master".to_vec()))
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.hosts.hosts()).finish()
    }
}

fn client(config: &RedisConfig, host: &Host) -> RedisResult<Client> {
    let mut login =
        RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(config.database);
    if let Some(user) = &config.user {
        login = login.set_username(user);
    }
    if let Some(password) = &config.password {
        login = login.set_password(password.expose());
    }
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    // Bounds data that the peer's kernel does not acknowledge. Replies have a timeout of their own.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let tcp = tcp.set_user_timeout(config.response_timeout.saturating_mul(2));
    let (name, port) = (host.name.clone(), host.port.unwrap_or(DEFAULT_PORT));
    let address = if config.tls {
        ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(name, port)
    };
    let info = address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp);
    #[cfg(feature = "tls")]
    if config.tls {
        return crate::wire::tls::client(info, config.tls_ca.as_deref());
    }
    Client::open(info)
}
