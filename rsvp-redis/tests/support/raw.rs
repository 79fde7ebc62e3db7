//! The keys of the servers, read without the store.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, RedisResult, ServerErrorKind, Value, cmd};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

/// Connections to the primaries of a cluster, or to the only server.
pub(crate) struct Raw(Vec<MultiplexedConnection>);

impl Raw {
    pub(crate) async fn cluster(cluster: &RedisCluster) -> Self {
        Self::servers(&cluster.primaries().await).await
    }

    pub(crate) async fn servers(servers: &[&RedisServer]) -> Self {
        let mut connections = Vec::new();
        for server in servers {
            let client = Client::open(server.url()).unwrap();
            connections.push(client.get_multiplexed_async_connection().await.unwrap());
        }
        Self(connections)
    }

    /// The reply of the node that owns the command's key.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        for connection in &self.0 {
            let answer: RedisResult<Value> = command.query_async(&mut connection.clone()).await;
            match answer {
                Err(error) if error.kind() == ServerErrorKind::Moved.into() => {}
                answer => return redis::from_redis_value(answer.unwrap()).unwrap(),
            }
        }
        panic!("no primary owns the key of {command:?}");
    }

    /// All keys that begin with `prefix:`, of all primaries.
    pub(crate) async fn keys(&self, prefix: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for connection in &self.0 {
            keys.extend(keys_of(connection, prefix).await);
        }
        keys
    }

    /// Removes all keys that begin with `prefix:`.
    pub(crate) async fn remove(&self, prefix: &str) {
        for connection in &self.0 {
            let keys: Vec<_> = keys_of(connection, prefix).await.into_iter().collect();
            for keys in keys.chunks(1000) {
                let mut unlink = redis::pipe();
                keys.iter().for_each(|key| {
                    unlink.unlink(key).ignore();
                });
                unlink.query_async::<()>(&mut connection.clone()).await.unwrap();
            }
        }
    }
}

/// All keys of one server that begin with `prefix:`.
async fn keys_of(connection: &MultiplexedConnection, prefix: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut cursor = 0;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}:*")).arg("COUNT").arg(1000);
        let (next, found): (u64, Vec<String>) =
            scan.query_async(&mut connection.clone()).await.unwrap();
        keys.extend(found);
        cursor = next;
        if cursor == 0 {
            return keys;
        }
    }
}
