//! The handshake of a connection, with the server's mode and role, and the identity of both ends.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use crate::config::RedisConfig;
use crate::wire::connection_fence::Fences;
use crate::wire::connection_identity::ConnectionIdentity;
use crate::wire::failure::ConnectError;
use crate::wire::latest_primary::{Claim, Record};

const CLUSTER: &str = "the server is a node of a cluster, whose URL begins with redis+cluster://";
const NO_CLUSTER: &str = "the server is not a node of a cluster; its URL begins with redis://";
const SENTINEL: &str = "the server is a sentinel, whose URL begins with redis+sentinel://";

/// The id of no connection. To kill it shows whether the user may.
const NOBODY: i64 = i64::MAX;

/// Checks the server's mode and role. Learns the identity of both ends, and the claim of a primary
/// among others. Fences abandoned connections, also on a demoted primary.
pub(crate) async fn introduce(
    driver: &mut MultiplexedConnection,
    config: &RedisConfig,
    fences: &Fences,
    address: &str,
) -> Result<(ConnectionIdentity, Claim), ConnectError> {
    // Step 1: ask for everything in one round trip. A user or a managed server may refuse all but
    // `HELLO`, which a login needs. The store does without the rest.
    let mut pipeline = Pipeline::new();
    pipeline.cmd("HELLO");
    pipeline.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    pipeline.cmd("CLIENT").arg("ID").cmd("CLIENT").arg("KILL").arg("ID").arg(NOBODY);
    pipeline.cmd("CLIENT").arg("SETNAME").arg(&config.client_name);
    if !config.cluster {
        pipeline.cmd("GET").arg(Record::key(&config.prefix));
    }
    if config.wait_replicas > 0 {
        pipeline.cmd("WAIT").arg(0).arg(1);
    }
    let replies = driver.send_packed_commands(&pipeline, 0, pipeline.len()).await;
    let mut replies = replies.map_err(error)?.into_iter();
    // Step 2: the mode must be that of the URL.
    let hello = checked(replies.next())?;
    match (hello_field(&hello, "mode"), config.cluster) {
        (Some(b"cluster"), false) => return Err(ConnectError::OtherMode(CLUSTER)),
        (Some(b"standalone"), true) => return Err(ConnectError::OtherMode(NO_CLUSTER)),
        (Some(b"sentinel"), _) => return Err(ConnectError::OtherMode(SENTINEL)),
        _ => {}
    }
    let server = replies.next().map(text).unwrap_or_default();
    let replication = replies.next().map(text).unwrap_or_default();
    // Step 3: a user without the right to ask for the id, or to kill, has a connection without one,
    // so that other writes wait for what is given up on it from the beginning.
    let id = match (replies.next(), replies.next()) {
        (Some(Value::Int(id)), Some(Value::Int(_))) => u64::try_from(id).ok(),
        _ => None,
    };
    let _named = replies.next();
    // 160 bits as hexadecimal digits, of which the first 64 identify it well enough. A service that
    // hides the process still has its history, and one that hides both has its address.
    let run_id = field(&server, "run_id").or(field(&replication, "master_replid"));
    let identity = run_id.and_then(|id| u64::from_str_radix(id.get(..16)?, 16).ok());
    let identity =
        ConnectionIdentity { server: identity.unwrap_or_else(|| digest_of(address)), id };
    // Step 4: fence abandoned connections, before the role is checked, because a demoted primary
    // may hold their commands too.
    let kills = fences.due(identity);
    if kills.len() > 0 {
        let killed = driver.send_packed_commands(&kills.pipeline(), 0, kills.len()).await;
        fences.replied(identity.server, &kills, &killed.map_err(error)?);
    }
    // Step 5: a single server must be a primary.
    let mut claim = Claim::default();
    if !config.cluster {
        if !is_primary(&hello) {
            return Err(ConnectError::ReadOnly);
        }
        let record = replies.next().map(text).and_then(|record| Record::parse(&record));
        claim = Claim::new(&replication, identity.server, address, record);
    }
    // Step 6: without the right to `WAIT` no write would be acknowledged.
    if let Some(Value::ServerError(_)) = replies.next() {
        return Err(ConnectError::NoWait);
    }
    Ok((identity, claim))
}

fn checked(reply: Option<Value>) -> Result<Value, ConnectError> {
    let reply: RedisResult<Value> = reply.unwrap_or(Value::Nil).extract_error();
    reply.map_err(error)
}

/// The text of a reply. An error, or another kind of reply, has none.
pub(crate) fn text(reply: Value) -> String {
    let reply = reply.extract_error().ok();
    reply.and_then(|reply| redis::from_redis_value(reply).ok()).unwrap_or_default()
}

/// A field of a reply to `INFO`.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
    fields.find(|(field, _)| *field == name).map(|(_, value)| value)
}

/// Whether a reply to `HELLO` is that of a primary. A server that hides its role refuses writes if
/// it is none.
///
/// Not `ROLE` or `INFO`, which some users and managed servers are without.
pub(crate) fn is_primary(hello: &Value) -> bool {
    hello_field(hello, "role").is_none_or(|role| role == b"master")
}

fn hello_field<'a>(hello: &'a Value, name: &str) -> Option<&'a [u8]> {
    let Value::Map(fields) = hello else { return None };
    let is_named = |field: &Value| match field {
        Value::BulkString(text) => text == name.as_bytes(),
        Value::SimpleString(text) => text == name,
        _ => false,
    };
    match &fields.iter().find(|(field, _)| is_named(field))?.1 {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn digest_of(address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    hasher.finish()
}

/// Maps an error of the handshake. A server may repeat the whole command, including the password,
/// so only the code of its message is kept.
pub(crate) fn error(error: RedisError) -> ConnectError {
    let permanent = match error.kind() {
        ErrorKind::Io | ErrorKind::InvalidClientConfig | ErrorKind::Client => {
            return ConnectError::Failed(error);
        }
        ErrorKind::AuthenticationFailed
        | ErrorKind::RESP3NotSupported
        | ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        _ => matches!(error.code(), Some("WRONGPASS" | "NOAUTH")),
    };
    let code = error.code().unwrap_or(error.category()).to_owned();
    ConnectError::Refused { code, permanent }
}
