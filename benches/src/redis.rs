//! A Redis server with both ways on it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, cmd, pipe};
use rsvp_core::{Action, EventId, Rsvp, RsvpStore, Write};
use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::servers::{Persistence, RedisServer};

use crate::{Crowd, Pairs};

/// What a careful developer would write without this library: a set for each direction, and one
/// pipelined pair of `SADD`s, or one `SISMEMBER` or `SCARD`, for each RSVP or question, on one
/// multiplexed connection.
///
/// Nothing makes the two sets agree when writers meet; and it does not reconnect. All of that is in
/// its favour.
#[derive(Clone, Debug)]
pub struct RedisByHand {
    connection: MultiplexedConnection,
}

impl RedisByHand {
    async fn connect(url: &str) -> Self {
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.into_connection_info().expect("a URL").set_tcp_settings(tcp);
        let client = Client::open(info).expect("a legal configuration");
        let options =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let connection = client.get_multiplexed_async_connection_with_config(&options);
        Self { connection: connection.await.expect("the server takes connections") }
    }

    /// Adds a pair; whether it was new.
    pub async fn rsvp(&self, pair: &Rsvp) -> bool {
        self.change("SADD", pair).await
    }

    /// Makes a write; whether it changed anything.
    pub async fn write(&self, Write { action, rsvp }: &Write) -> bool {
        match action {
            Action::Rsvp => self.change("SADD", rsvp).await,
            Action::Cancel => self.change("SREM", rsvp).await,
        }
    }

    async fn change(&self, command: &str, Rsvp { user, event }: &Rsvp) -> bool {
        let mut pair = pipe();
        pair.cmd(command).arg(format!("event:{event}")).arg(user.as_str());
        pair.cmd(command).arg(format!("user:{user}")).arg(event.as_str());
        let answers = pair.query_async(&mut self.connection.clone()).await;
        let (changed, _): (bool, bool) = answers.expect("a write by hand");
        changed
    }

    /// Whether the pair exists.
    pub async fn has_rsvped(&self, Rsvp { user, event }: &Rsvp) -> bool {
        let mut question = cmd("SISMEMBER");
        question.arg(format!("event:{event}")).arg(user.as_str());
        question.query_async(&mut self.connection.clone()).await.expect("a read by hand")
    }

    /// How many RSVPs the event has.
    pub async fn count(&self, event: &EventId) -> u64 {
        let mut question = cmd("SCARD");
        question.arg(format!("event:{event}"));
        question.query_async(&mut self.connection.clone()).await.expect("a count by hand")
    }
}

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
    /// The other way.
    pub by_hand: RedisByHand,
}

impl Keyspace {
    /// The tasks of the by-hand way.
    pub const TASKS: usize = 256;

    /// Starts a server with an append-only file, and prints when that is written out.
    pub async fn start(persistence: Persistence) -> Self {
        // The file is not rewritten while one of the two ways is at work.
        let server = RedisServer::builder()
            .persistence(persistence)
            .setting("auto-aof-rewrite-percentage", "0")
            .start()
            .await;
        let url = server.url();
        let config = RedisConfig::from_url(&url).expect("a legal configuration");
        let store = Arc::new(RedisStore::open(config).await.expect("the store opens"));
        let by_hand = RedisByHand::connect(&url).await;
        println!("persistence: {persistence:?}");
        Self { server, store, by_hand }
    }

    /// Runs a command and returns its answer.
    pub async fn command(&self, words: &[&str]) -> String {
        self.server.command(words).await
    }

    /// Writes pairs through the store until it has taken `total`.
    pub async fn load_store(&self, pairs: &Arc<Pairs>, total: u64) {
        const BATCH: usize = 1_024;
        while pairs.taken() < total {
            self.store.write_batch(&pairs.take(BATCH)).await.expect("a batch");
        }
    }

    /// Writes pairs both ways, as [`load_store`](Self::load_store).
    pub async fn load(&self, pairs: &Arc<Pairs>, total: u64) {
        self.load_store(pairs, total).await;
        let (by_hand, written, next) = (self.by_hand.clone(), pairs.clone(), Pairs::of(1));
        let (next, taken) = (Arc::new(next), pairs.taken());
        let calls = taken.div_ceil(Self::TASKS as u64);
        Crowd(Self::TASKS)
            .times(calls, move || {
                let n = next.number();
                let (by_hand, pair) = (by_hand.clone(), written.nth(n % taken));
                async move {
                    by_hand.rsvp(&pair).await;
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
