//! A Redis server with the store and the baseline on it.

use std::future::Future;
use std::sync::Arc;

use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::servers::{Persistence, RedisServer};

use crate::{Load, Pairs, RedisBaseline, write_all};

/// What the server's main thread, of which there is one, spends on an element.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerTime {
    seconds: f64,
    elements: f64,
}

impl ServerTime {
    /// Runs `work`, which returns how many elements it did, and how many that is a second; the
    /// latter is passed on.
    pub async fn meter(
        &mut self,
        keyspace: &Keyspace,
        work: impl Future<Output = (f64, f64)>,
    ) -> f64 {
        let before = keyspace.server_time().await;
        let (elements, per_second) = work.await;
        self.seconds += keyspace.server_time().await - before;
        self.elements += elements;
        per_second
    }

    /// Microseconds for each element.
    pub fn micros(self) -> f64 {
        self.seconds * 1e6 / self.elements
    }
}

/// The keys of a server of its own, which ends with it.
#[derive(Debug)]
pub struct Keyspace {
    server: RedisServer,
    /// The store, as it comes.
    pub store: Arc<RedisStore>,
    /// The baseline.
    pub baseline: RedisBaseline,
}

impl Keyspace {
    /// The tasks of the baseline.
    pub const TASKS: usize = 256;

    /// Starts a server with an append-only file, and prints when that is written out.
    pub async fn start(persistence: Persistence) -> Self {
        // The file is not rewritten while one of the two is at work.
        let server = RedisServer::builder()
            .persistence(persistence)
            .setting("auto-aof-rewrite-percentage", "0")
            .start()
            .await;
        let url = server.url();
        let config = RedisConfig::from_url(&url).expect("a legal configuration");
        let store = Arc::new(RedisStore::open(config).await.expect("the store opens"));
        let baseline = RedisBaseline::connect(&url).await;
        println!("persistence: {persistence:?}");
        Self { server, store, baseline }
    }

    /// Runs a command and returns its answer.
    pub async fn command(&self, words: &[&str]) -> String {
        self.server.command(words).await
    }

    /// Writes pairs through the store until it has taken `total`.
    pub async fn load_store(&self, pairs: &Arc<Pairs>, total: u64) {
        const BATCH: usize = 1_024;
        while pairs.taken() < total {
            write_all(&*self.store, &pairs.take(BATCH)).await;
        }
    }

    /// Writes pairs through the store and the baseline, as [`load_store`](Self::load_store).
    pub async fn load(&self, pairs: &Arc<Pairs>, total: u64) {
        self.load_store(pairs, total).await;
        let (baseline, written, next) = (self.baseline.clone(), pairs.clone(), Pairs::of(1));
        let (next, taken) = (Arc::new(next), pairs.taken());
        let calls = taken.div_ceil(Self::TASKS as u64);
        Load(Self::TASKS)
            .times(calls, move || {
                let n = next.number();
                let (baseline, pair) = (baseline.clone(), written.nth(n % taken));
                async move {
                    baseline.rsvp(&pair).await;
                }
            })
            .await;
    }

    /// Removes everything.
    pub async fn start_over(&self) {
        self.server.flush().await;
    }

    /// The seconds of processor time that the server's main thread has had.
    pub async fn server_time(&self) -> f64 {
        let info = self.command(&["INFO", "cpu"]).await;
        let seconds = info.lines().filter_map(|line| {
            let (name, value) = line.trim_end().split_once(':')?;
            value.parse::<f64>().ok().filter(|_| name.ends_with("_main_thread"))
        });
        seconds.sum()
    }

    /// The bytes of memory that are in use.
    pub async fn used_memory(&self) -> u64 {
        let info = self.command(&["INFO", "memory"]).await;
        let used = info.lines().find_map(|line| line.trim_end().strip_prefix("used_memory:"));
        used.and_then(|used| used.parse().ok()).expect("the server knows")
    }
}
