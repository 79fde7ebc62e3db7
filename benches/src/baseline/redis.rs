//! The Redis commands that a careful developer would write without this library.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, cmd, pipe};
use rsvp_core::{Action, EventId, Rsvp, Write};

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
