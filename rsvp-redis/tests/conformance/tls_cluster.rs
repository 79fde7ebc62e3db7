//! The Redis store keeps the contract in a cluster that speaks TLS only and asks for certificates.

use std::sync::Mutex;

use crate::support::authority::{Authority, parameters};
use crate::support::{event, open, prefix};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::{RedisCluster, RedisServer, RedisTls};
use tempfile::TempDir;
use tokio::sync::OnceCell;

async fn cluster() -> &'static (RedisCluster, RedisTls, TempDir) {
    static CLUSTER: OnceCell<(RedisCluster, RedisTls, TempDir)> = OnceCell::const_new();
    let start = async || {
        let folder = tempfile::tempdir().unwrap();
        let files = Authority::new().files(folder.path());
        let cluster = RedisServer::builder().tls(files.clone()).start_cluster().await;
        (cluster, files, folder)
    };
    CLUSTER.get_or_init(start).await
}

/// Two stores on keys of their own, as two processes would have them, with divided events. An event
/// is refused whose keys hold no sets.
async fn fresh() -> Subject {
    let (cluster, files, _) = cluster().await;
    let over = std::mem::take(&mut *OVER.lock().unwrap());
    for over in over {
        remove(cluster, &over).await;
    }
    let keys = OwnKeys(prefix());
    let prefix = keys.0.clone();
    let url = format!("{}?{}&prefix={prefix}&event_spread=3", cluster.url(), parameters(files));
    let refuse = async move || {
        for part in 0..3 {
            let key = format!("{prefix}:e:{{{part}:refused}}");
            self::cluster().await.0.command(&["SET", &key, "no set"]).await;
        }
    };
    Subject::from(open(&url).await)
        .with_peer(open(&url).await)
        .refusing(event("refused"), refuse)
        .holding(keys)
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
});
