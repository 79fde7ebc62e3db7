//! One connection, and how it is made.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisResult, Value, cmd,
};
use rsvp_core::url::Host;
use tokio::time::{Instant, timeout};

use crate::RedisConfig;
use crate::config::DEFAULT_PORT;
use crate::wire::failure::{ConnectError, Failure, loss, refusal, refused};

/// How long a server is believed to be the primary that it said it is.
const TRUSTED_ROLE: Duration = Duration::from_millis(100);

/// Requests that may wait to be written to a connection.
const BUFFERED_REQUESTS: usize = 1024;

/// A connection that any number of calls use at once. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    driver: MultiplexedConnection,
    response_timeout: Duration,
    /// Names the server's process. The cursors of its `SCAN` commands are its own.
    pub(crate) server: u64,
    /// When it was made.
    pub(crate) born: Instant,
    closed: Arc<AtomicBool>,
    /// When the server last said that it is a primary; nothing in a cluster, where replicas
    /// redirect reads too.
    primary_at: Option<Arc<Mutex<Instant>>>,
}

impl Connection {
    /// Sends commands in one piece and returns an answer to each, and whether the server was found
    /// to be demoted after them.
    pub(crate) async fn send(
        &self,
        mut pipeline: Pipeline,
        patience: Duration,
    ) -> Result<Answers, Failure> {
        let (asked, asks_role) = (Instant::now(), self.asks_role());
        if asks_role {
            pipeline.cmd("ROLE");
        }
        let (mut driver, count) = (self.driver.clone(), pipeline.len());
        let waited = self.response_timeout + patience;
        driver.set_response_timeout(waited);
        let answers = driver.send_packed_commands(&pipeline, 0, count).await;
        let answers = answers.map_err(|error| loss(error, waited)).map(|mut values| {
            let role = if asks_role { values.pop() } else { None };
            let stale = asks_role.then(|| self.believe(role, asked).err()).flatten();
            Answers { values, stale }
        });
        let failure = answers.as_ref().map_or_else(Some, |answers| answers.stale.as_ref());
        if failure.is_some_and(Failure::evicts) {
            self.close();
        }
        answers
    }

    /// A demoted primary goes on answering reads, and would for ever.
    fn asks_role(&self) -> bool {
        self.primary_at.as_ref().is_some_and(|at| {
            at.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > TRUSTED_ROLE
        })
    }

    fn believe(&self, role: Option<Value>, asked: Instant) -> Result<(), Failure> {
        match (role, &self.primary_at) {
            (Some(Value::Array(role)), Some(at)) => {
                if is_primary(&role) {
                    *at.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    return Ok(());
                }
                let kind = redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
                Err(Failure::ReadOnly((kind, "the server is a replica by now").into()))
            }
            // Without the right to ask.
            (Some(Value::ServerError(error)), _) => Err(refusal(error.into())),
            _ => Err(Failure::Unreadable("an answer to ROLE that is none")),
        }
    }

    /// Nobody gets it any more; calls that are under way may finish.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// What a server answered.
pub(crate) struct Answers {
    /// One value a command.
    pub(crate) values: Vec<Value>,
    /// Why what was read means nothing: the server is not the primary any more.
    pub(crate) stale: Option<Failure>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Makes connections to whichever of some hosts does.
pub(crate) struct Dialer {
    config: Arc<RedisConfig>,
    hosts: Vec<Host>,
    /// The host that took the last connection, which is tried first.
    last: AtomicUsize,
}

impl Dialer {
    pub(crate) fn new(config: Arc<RedisConfig>, hosts: Vec<Host>) -> Self {
        Self { config, hosts, last: AtomicUsize::new(0) }
    }

    /// Tries the hosts in turn, each for the connect timeout.
    pub(crate) async fn dial(&self) -> Result<Connection, ConnectError> {
        let first = self.last.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for offset in 0..self.hosts.len() {
            let at = (first + offset) % self.hosts.len();
            let Some(host) = self.hosts.get(at) else { continue };
            match timeout(self.config.connect_timeout, self.dial_one(host)).await {
                Ok(Ok(connection)) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(error)) => failures.push(error),
                Err(_) => failures.push(ConnectError::TimedOut(self.config.connect_timeout)),
            }
        }
        // One host that may come back keeps the others' errors from being final.
        failures.sort_by_key(ConnectError::is_permanent);
        Err(failures.into_iter().next().unwrap_or(ConnectError::ReadOnly))
    }

    async fn dial_one(&self, host: &Host) -> Result<Connection, ConnectError> {
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
        let mut driver = driver.map_err(refused)?;
        let born = Instant::now();
        let server = self.introduce(&mut driver).await?;
        let primary_at = (!self.config.cluster).then(|| Arc::new(Mutex::new(born)));
        let response_timeout = self.config.response_timeout;
        Ok(Connection { driver, response_timeout, server, born, closed, primary_at })
    }

    /// Asks the server who it is, and whether it does.
    async fn introduce(&self, driver: &mut MultiplexedConnection) -> Result<u64, ConnectError> {
        let info: RedisResult<String> = cmd("INFO").arg("server").query_async(driver).await;
        let info = info.map_err(refused)?;
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
            if !is_primary(&role.map_err(refused)?) {
                return Err(ConnectError::ReadOnly);
            }
        }
        // 160 bits as hexadecimal digits, of which the first 64 name it well enough.
        let run_id = field("run_id").and_then(|id| id.get(..16));
        run_id.and_then(|id| u64::from_str_radix(id, 16).ok()).ok_or(ConnectError::Anonymous)
    }
}

const CLUSTER: &str = "the server is a node of a cluster, whose URL begins with redis+cluster://";
const NO_CLUSTER: &str = "the server is not a node of a cluster; its URL begins with redis://";

/// Whether an answer to `ROLE` is that of a primary.
fn is_primary(role: &[Value]) -> bool {
    role.first() == Some(&Value::BulkString(b"master".to_vec()))
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.hosts).finish()
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
    // What was sent and not acknowledged by the other kernel; the answers have a timeout of their
    // own.
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
