//! Asking sentinels for the primary and its replicas.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{AsyncConnectionConfig, Pipeline, Value};
use rsvp_core::url::Host;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{RedisConfig, SENTINEL_PORT, Sentinel};
use crate::wire::connection::client;
use crate::wire::failure::ConnectError;
use crate::wire::handshake;

/// The time after the first answer for other sentinels to tell of a later primary.
const GRACE: Duration = Duration::from_millis(250);

/// The servers known to sentinels. If a sentinel names a server the primary, it has the number of
/// its failover.
pub(crate) type Servers = Vec<(Host, Option<u64>)>;

/// Asks all sentinels at once for the primary and its replicas.
///
/// No sentinel is believed alone. An isolated one knows an earlier primary, and during a promotion
/// only the leading sentinel knows of it. A promoted server says so itself.
///
/// # Errors
///
/// If no sentinel answers, or none of them watches a primary of this name.
pub(crate) async fn servers(
    config: &RedisConfig,
    sentinel: &Sentinel,
) -> Result<Servers, ConnectError> {
    let limit = config.connect_timeout;
    let mut asking: FuturesUnordered<_> =
        config.hosts.iter().map(|host| timeout(limit, ask(config, sentinel, host))).collect();
    let (mut known, mut failures) = (Servers::new(), Vec::new());
    let mut end = Instant::now() + limit * 2;
    while let Ok(Some(answer)) = timeout_at(end, asking.next()).await {
        match answer {
            Ok(Ok(servers)) => {
                end = end.min(Instant::now() + GRACE);
                servers.into_iter().for_each(|server| add(&mut known, server));
            }
            Ok(Err(error)) => failures.push(error),
            Err(_) => failures.push(ConnectError::TimedOut(limit)),
        }
    }
    if known.is_empty() { Err(ConnectError::of_all(failures)) } else { Ok(known) }
}

fn add(known: &mut Servers, (host, epoch): (Host, Option<u64>)) {
    match known.iter_mut().find(|(own, _)| *own == host) {
        Some((_, known)) => *known = (*known).max(epoch),
        None => known.push((host, epoch)),
    }
}

async fn ask(
    config: &RedisConfig,
    sentinel: &Sentinel,
    host: &Host,
) -> Result<Servers, ConnectError> {
    let host = host.clone().with_default_port(SENTINEL_PORT);
    let login = (sentinel.user.as_deref(), sentinel.password.as_ref());
    let client = client(config, &host, login, 0).map_err(ConnectError::Failed)?;
    let options = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(config.connect_timeout));
    let driver = client.get_multiplexed_async_connection_with_config(&options).await;
    let mut driver = driver.map_err(handshake::error)?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("SENTINEL").arg("MASTER").arg(&sentinel.primary);
    pipeline.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.primary);
    pipeline.cmd("SENTINEL").arg("REPLICAS").arg(&sentinel.primary);
    let replies = driver.send_packed_commands(&pipeline, 0, pipeline.len()).await;
    let mut replies = replies.map_err(handshake::error)?.into_iter();
    // It answers `ERR No such master with that name`, a code that says little.
    let primary = replies.next().unwrap_or(Value::Nil).extract_error();
    let primary = primary.map_err(|error| match error.code() {
        Some("ERR") => ConnectError::NotWatched,
        _ => handshake::error(error),
    })?;
    let fields = |value: Value| redis::from_redis_value::<HashMap<String, String>>(value).ok();
    let (host, epoch) = fields(primary).as_ref().and_then(named).ok_or(ConnectError::NotWatched)?;
    let mut servers = vec![(host, Some(epoch))];
    // The primary of a failover that is under way is another one.
    let now = replies.next().and_then(|reply| redis::from_redis_value(reply).ok());
    if let Some((name, port)) = now {
        add(&mut servers, (Host { name, port: Some(port) }, Some(epoch)));
    }
    if let Some(Value::Array(replicas)) = replies.next() {
        let replicas = replicas.into_iter().filter_map(fields);
        replicas.filter_map(|replica| host_of(&replica)).for_each(|host| {
            add(&mut servers, (host, None));
        });
    }
    Ok(servers)
}

fn named(fields: &HashMap<String, String>) -> Option<(Host, u64)> {
    Some((host_of(fields)?, fields.get("config-epoch")?.parse().ok()?))
}

fn host_of(fields: &HashMap<String, String>) -> Option<Host> {
    let port = fields.get("port")?.parse().ok()?;
    Some(Host { name: fields.get("ip")?.clone(), port: Some(port) })
}
