//! The Redis store keeps the contract in a cluster that speaks TLS only and asks for certificates.

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
    let url = format!("{}?{}&prefix={}", cluster.url(), parameters(files), prefix());
    let store = open(&url).await;
    Subject::from(store).with_peer(open(&url).await)
}

rsvp_testkit::conformance!(fresh().await, except {
    a_store_that_cannot_write_is_not_ready => "other tests use the cluster, so it is not stopped; `faults` stops nodes",
    an_entry_that_fails_takes_no_other_down => "`cluster` refuses an entry; TLS does not matter there",
});
