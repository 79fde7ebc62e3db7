//! The Redis store keeps the contract in a cluster that speaks TLS only and asks for certificates.

use std::sync::Mutex;

use crate::support::authority::{Authority, parameters};
use crate::support::{open, prefix};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::{RedisCluster, RedisServer, RedisTls};
use tempfile::TempDir;
use tokio::sync::OnceCell;

async fn fresh() -> Subject {
    static CLUSTER: OnceCell<(RedisCluster, RedisTls, TempDir)> = OnceCell::const_new();
    let start = async || {
        let folder = tempfile::tempdir().unwrap();
        let files = Authority::new().files(folder.path());
        let cluster = RedisServer::builder().tls(files.clone()).start_cluster().await;
        (cluster, files, folder)
    };
    let (cluster, files, _) = CLUSTER.get_or_init(start).await;
    for over in std::mem::take(&mut *OVER.lock().unwrap()) {
        remove(cluster, &over).await;
    }
    let keys = OwnKeys(prefix());
    let url = format!("{}?{}&prefix={}", cluster.url(), parameters(files), keys.0);
    let store = open(&url).await;
    Subject::from(store).with_peer(open(&url).await).holding(keys)
}

/// The prefixes of cases that are over. A scan goes through the keys of all cases.
static OVER: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct OwnKeys(String);

impl Drop for OwnKeys {
    fn drop(&mut self) {
        OVER.lock().unwrap().push(std::mem::take(&mut self.0));
    }
}

async fn remove(cluster: &RedisCluster, prefix: &str) {
    let script = "#!lua flags=allow-cross-slot-keys\n\
                  for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end";
    for primary in cluster.primaries().await {
        primary.command(&["EVAL", script, "0", &format!("{prefix}:*")]).await;
    }
}

rsvp_testkit::conformance!(fresh().await, except {
    a_store_that_cannot_write_is_not_ready => "other tests use the cluster, so it is not stopped; `faults` stops nodes",
    an_entry_that_fails_takes_no_other_down => "`cluster` refuses an entry; TLS does not matter there",
});
