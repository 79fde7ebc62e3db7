//! The handshake of a connection: the server's mode and role, and who the two ends are.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use crate::wire::failure::ConnectError;
use crate::wire::fence::Fences;
use crate::wire::peer::Peer;

const CLUSTER: &str = "the server is a node of a cluster, whose URL begins with redis+cluster://";
const NO_CLUSTER: &str = "the server is not a node of a cluster; its URL begins with redis://";

/// The id of no connection. To kill it shows whether the user may.
const NOBODY: i64 = i64::MAX;

/// Checks the server's mode and role, and learns who the two ends are. Fences connections that were
/// given up, also on a server that is no primary any more.
pub(crate) async fn introduce(
    driver: &mut MultiplexedConnection,
    cluster: bool,
    fences: &Fences,
) -> Result<Peer, ConnectError> {
    // Step 1: everything is asked for in one round trip.
    let mut pipeline = Pipeline::new();
    pipeline.cmd("INFO").arg("server").cmd("CLIENT").arg("ID");
    pipeline.cmd("CLIENT").arg("KILL").arg("ID").arg(NOBODY);
    if !cluster {
        pipeline.cmd("ROLE");
    }
    let replies = driver.send_packed_commands(&pipeline, 0, pipeline.len()).await;
    let mut replies = replies.map_err(error)?.into_iter();
    // Step 2: the mode must be that of the URL.
    let info = checked(replies.next())?;
    let info: String = redis::from_redis_value(info).map_err(|_| ConnectError::Anonymous)?;
    let field = |name| {
        let mut fields = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value)
    };
    // Valkey calls it by another name.
    match (field("redis_mode").or(field("server_mode")), cluster) {
        (Some("cluster"), false) => return Err(ConnectError::OtherMode(CLUSTER)),
        (Some("standalone"), true) => return Err(ConnectError::OtherMode(NO_CLUSTER)),
        _ => {}
    }
    // Step 3: a user without the right to ask for the id, or to kill, has a connection without one,
    // so that other writes wait for what is given up on it from the beginning.
    let id = match (replies.next(), replies.next()) {
        (Some(Value::Int(id)), Some(Value::Int(_))) => u64::try_from(id).ok(),
        _ => None,
    };
    // 160 bits as hexadecimal digits, of which the first 64 identify it well enough.
    let run_id = field("run_id").and_then(|id| id.get(..16));
    let server = run_id.and_then(|id| u64::from_str_radix(id, 16).ok());
    let peer = Peer { server: server.ok_or(ConnectError::Anonymous)?, id };
    // Step 4: before anything else, what was given up is fenced.
    let kills = fences.due(peer);
    if kills.len() > 0 {
        let killed = driver.send_packed_commands(&kills.pipeline(), 0, kills.len()).await;
        fences.replied(peer.server, &kills, &killed.map_err(error)?);
    }
    // Step 5: a single server must be a primary.
    if !cluster {
        match checked(replies.next())? {
            Value::Array(role) if is_primary(&role) => {}
            _ => return Err(ConnectError::ReadOnly),
        }
    }
    Ok(peer)
}

fn checked(reply: Option<Value>) -> Result<Value, ConnectError> {
    let reply: RedisResult<Value> = reply.unwrap_or(Value::Nil).extract_error();
    reply.map_err(error)
}

/// Whether a reply to `ROLE` is that of a primary.
pub(crate) fn is_primary(role: &[Value]) -> bool {
    role.first() == Some(&Value::BulkString(b"master".to_vec()))
}

/// Maps an error of the handshake. A server may repeat the command that it was sent, including the
/// password, so only the code of its message is kept.
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
