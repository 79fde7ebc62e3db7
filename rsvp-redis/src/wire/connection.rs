//! One connection to one server. The file has the connection shared by many calls, the TCP and TLS
//! connect with the handshake, and the driver's client with its login and socket options.
//!
//! `connector.rs` chooses the server among several hosts.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisResult, Value,
};
use rsvp_core::url::{Host, Secret};
use tokio::time::Instant;

use crate::config::{DEFAULT_PORT, RedisConfig};
use crate::wire::connection_fence::Fences;
use crate::wire::connection_identity::ConnectionIdentity;
use crate::wire::failure::{ConnectError, Failure, loss};
use crate::wire::handshake::{self, is_primary};
use crate::wire::latest_primary::{Claim, Record};
use crate::wire::reply_timeout::ReplyTimeout;

/// The time after which a server must confirm its role as the primary again.
const TRUSTED_ROLE: Duration = Duration::from_millis(100);

/// The most requests in the queue before a connection.
const BUFFERED_REQUESTS: usize = 1024;

/// A connection, shared by any number of calls. A clone is the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    driver: MultiplexedConnection,
    /// The process at the other end. Another process has other `SCAN` cursors and other clients.
    pub(crate) identity: ConnectionIdentity,
    /// The moment of the connect.
    pub(crate) born: Instant,
    closed: Arc<AtomicBool>,
    /// Whether the store has given it up, and may kill it.
    given_up: Arc<AtomicBool>,
    /// Whether the server has been seen to do nothing more for it.
    fenced: Arc<AtomicBool>,
    /// The moment of the server's last confirmation of its role as the primary. `None` in a
    /// cluster, since replicas redirect reads there.
    primary_at: Option<Arc<Mutex<Instant>>>,
}

impl Connection {
    /// Sends a pipeline and returns its replies.
    pub(crate) async fn send(
        &self,
        mut pipeline: Pipeline,
        reply_timeout: ReplyTimeout,
    ) -> Result<Replies, Failure> {
        // The question for the role goes behind the commands. A demotion before or between them
        // shows in its reply, and the replies of the commands then count as stale.
        let (asked, asks_role) = (Instant::now(), self.asks_role());
        if asks_role {
            pipeline.cmd("HELLO");
        }
        let (mut driver, count) = (self.driver.clone(), pipeline.len());
        driver.set_response_timeout(reply_timeout.time);
        let replies = driver.send_packed_commands(&pipeline, 0, count).await;
        let replies = replies.map_err(|error| loss(error, reply_timeout)).map(|mut values| {
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
        let (Some(role), Some(at)) = (role, &self.primary_at) else {
            return Err(Failure::Malformed("no reply to HELLO"));
        };
        if is_primary(&role) {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            return Ok(());
        }
        let kind = redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
        Err(Failure::ReadOnly((kind, "the server has become a replica").into()))
    }

    /// Writes the record of the primary in the background. If the server refuses or loses it, the
    /// replication ids alone tell primaries apart.
    pub(crate) fn note(&self, prefix: &str, record: &Record) {
        let set = redis::cmd("SET").arg(Record::key(prefix)).arg(record.text()).to_owned();
        let mut driver = self.driver.clone();
        tokio::spawn(async move {
            if let Err(error) = set.exec_async(&mut driver).await {
                let code = error.code().unwrap_or(error.category());
                tracing::debug!(code, "the record of the primary was not written");
            }
        });
    }

    /// Keeps new calls off the connection. Running calls may finish.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Closes it because of writes without a reply. The store may kill it from now on.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.close();
    }

    /// Whether its loss may be the doing of the store, and tells nothing about the server.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Set once the server has been seen to do nothing more for the connection.
    pub(crate) fn fenced(&self) -> &Arc<AtomicBool> {
        &self.fenced
    }
}

/// The replies to a pipeline.
pub(crate) struct Replies {
    /// One value for each command.
    pub(crate) values: Vec<Value>,
    /// The demotion of the server, the reason why reads among them are stale.
    pub(crate) demoted: Option<Failure>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Connects to a host, and learns the identity of the connection and the claim of the server.
pub(crate) async fn connect_to(
    config: &RedisConfig,
    host: &Host,
    fences: &Fences,
) -> Result<(Connection, Claim), ConnectError> {
    // Step 1: get the login. A provider is asked for each connection, since tokens expire.
    let host = host.clone().with_default_port(DEFAULT_PORT);
    let provided = match &config.provider {
        Some(provider) => {
            Some(provider.credentials(&host).await.map_err(ConnectError::NoCredentials)?)
        }
        None => None,
    };
    let login = match &provided {
        Some(provided) => (provided.user.as_deref(), Some(&provided.password)),
        None => (config.user.as_deref(), config.password.as_ref()),
    };
    let client = client(config, &host, login, config.database).map_err(ConnectError::Failed)?;
    // Step 2: connect. The driver reports a disconnection by a push message, so the next call does
    // not have to fail to find out.
    let closed = Arc::new(AtomicBool::new(false));
    let is_closed = Arc::clone(&closed);
    let on_push = move |push: PushInfo| -> Result<(), ()> {
        if push.kind == PushKind::Disconnection {
            is_closed.store(true, Ordering::Release);
        }
        Ok(())
    };
    let options = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(config.connect_timeout))
        .set_pipeline_buffer_size(BUFFERED_REQUESTS)
        .set_push_sender(on_push);
    let driver = client.get_multiplexed_async_connection_with_config(&options).await;
    let mut driver = driver.map_err(handshake::error)?;
    // Step 3: the handshake.
    let born = Instant::now();
    let address = host.to_string();
    let (identity, claim) = handshake::introduce(&mut driver, config, fences, &address).await?;
    let primary_at = (!config.cluster).then(|| Arc::new(Mutex::new(born)));
    let (given_up, fenced) = Default::default();
    Ok((Connection { driver, identity, born, closed, given_up, fenced, primary_at }, claim))
}

/// A client of a server or a sentinel, by a user and a password if there are any.
pub(crate) fn client(
    config: &RedisConfig,
    host: &Host,
    (user, password): (Option<&str>, Option<&Secret>),
    database: i64,
) -> RedisResult<Client> {
    let mut login =
        RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(database);
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password.expose());
    }
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    // Bounds data that the peer's kernel does not acknowledge. Replies have a timeout of their own.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let tcp = tcp.set_user_timeout(config.user_timeout());
    let (name, port) = (host.name.clone(), host.port.unwrap_or(DEFAULT_PORT));
    let address = if config.tls {
        ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(name, port)
    };
    let info = address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp);
    #[cfg(feature = "tls")]
    if config.tls {
        return crate::wire::tls::client(info, &config.tls_files);
    }
    Client::open(info)
}
