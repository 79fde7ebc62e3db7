//! Keys of one case on the cluster that all tests of a binary share.

use std::sync::{Mutex, PoisonError};

use rsvp_testkit::servers::RedisCluster;

use crate::support::prefix;
use crate::support::raw::Raw;

/// The prefixes of cases that are over.
static OVER: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A prefix that no other case has.
///
/// A cluster has one database, and a scan goes through the keys of all cases. Those of a case that is
/// over are removed when the next one begins.
#[derive(Debug)]
pub(crate) struct OwnKeys(String);

impl OwnKeys {
    /// A prefix that begins with `name`.
    pub(crate) async fn begin(name: &str) -> Self {
        let over = std::mem::take(&mut *OVER.lock().unwrap_or_else(PoisonError::into_inner));
        if !over.is_empty() {
            let raw = Raw::cluster(RedisCluster::shared().await).await;
            for prefix in over {
                raw.remove(&prefix).await;
            }
        }
        Self(format!("{name}{}", prefix()))
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }
}

impl Drop for OwnKeys {
    fn drop(&mut self) {
        let prefix = std::mem::take(&mut self.0);
        OVER.lock().unwrap_or_else(PoisonError::into_inner).push(prefix);
    }
}
