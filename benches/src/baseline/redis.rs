//! The Redis commands that a careful developer would write without this library.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, cmd, pipe};
use rsvp_core::{Action, EventId, Rsvp, UserId, Write, async_trait};

use crate::way::{PAGE, Way};

/// The baseline on Redis: a set for each direction, and one pipelined pair of `SADD`s, or one
/// `SISMEMBER` or `SCARD`, for each RSVP or read, on one multiplexed connection.
///
/// Nothing makes the two sets agree when writers meet, and it does not reconnect. All of that is in
/// its favour.
#[derive(Clone, Debug)]
pub struct RedisBaseline {
    connection: MultiplexedConnection,
}

impl RedisBaseline {
    /// Connects to the server at `url`.
    pub async fn connect(url: &str) -> Self {
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
    pub async fn write(&self, Write { action, rsvp, .. }: &Write) -> bool {
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
        let (changed, _): (bool, bool) = answers.expect("a write of the baseline");
        changed
    }

    /// Whether the pair exists.
    pub async fn has_rsvped(&self, Rsvp { user, event }: &Rsvp) -> bool {
        let mut command = cmd("SISMEMBER");
        command.arg(format!("event:{event}")).arg(user.as_str());
        command.query_async(&mut self.connection.clone()).await.expect("a read of the baseline")
    }

    /// How many RSVPs the event has.
    pub async fn count(&self, event: &EventId) -> u64 {
        let mut command = cmd("SCARD");
        command.arg(format!("event:{event}"));
        command.query_async(&mut self.connection.clone()).await.expect("a count of the baseline")
    }
}

#[async_trait]
impl Way for RedisBaseline {
    async fn rsvp(&self, pairs: &[Rsvp]) {
        let mut all = pipe();
        for Rsvp { user, event } in pairs {
            all.cmd("SADD").arg(format!("event:{event}")).arg(user.as_str()).ignore();
            all.cmd("SADD").arg(format!("user:{user}")).arg(event.as_str()).ignore();
        }
        let done: redis::RedisResult<()> = all.query_async(&mut self.connection.clone()).await;
        done.expect("writes of the baseline");
    }

    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool> {
        let mut all = pipe();
        for Rsvp { user, event } in pairs {
            all.cmd("SISMEMBER").arg(format!("event:{event}")).arg(user.as_str());
        }
        all.query_async(&mut self.connection.clone()).await.expect("reads of the baseline")
    }

    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64> {
        let mut all = pipe();
        for event in events {
            all.cmd("SCARD").arg(format!("event:{event}"));
        }
        all.query_async(&mut self.connection.clone()).await.expect("counts of the baseline")
    }

    async fn attendees(&self, event: &EventId) -> usize {
        self.page(format!("event:{event}")).await
    }

    async fn events_of(&self, user: &UserId) -> usize {
        self.page(format!("user:{user}")).await
    }
}

impl RedisBaseline {
    async fn page(&self, key: String) -> usize {
        let mut scan = cmd("SSCAN");
        scan.arg(key).arg(0).arg("COUNT").arg(PAGE);
        let answer = scan.query_async(&mut self.connection.clone()).await;
        let (_, page): (String, Vec<String>) = answer.expect("a page of the baseline");
        page.len()
    }
}
