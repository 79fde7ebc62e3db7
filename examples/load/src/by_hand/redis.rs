//! By hand on Redis: a set for each direction.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, cmd,
    pipe,
};
use rsvp::{Action, EventId, Outcome, Rsvp, UserId, Write};

use crate::target::{Answer, Failed, PAGE, Target};

/// As long as the store waits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Keys of one command that removes them.
const CHUNK: usize = 1_000;

/// One multiplexed connection. Nothing makes the two sets agree when writers meet.
#[derive(Clone, Debug)]
pub(super) struct RedisByHand(MultiplexedConnection);

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self::new("backend", error)
    }
}

impl RedisByHand {
    pub(super) async fn connect(url: &str) -> Answer<Self> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.into_connection_info()?.set_tcp_settings(tcp);
        let options = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
        let client = Client::open(info)?;
        Ok(Self(client.get_multiplexed_async_connection_with_config(&options).await?))
    }

    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Answer<T> {
        let (name, arguments) = words.split_first().ok_or_else(|| Failed::new("backend", ""))?;
        Ok(cmd(name).arg(arguments).query_async(&mut self.0.clone()).await?)
    }

    /// The version and the settings of persistence.
    pub(super) async fn server(&self) -> Answer<String> {
        let info: String = self.ask(&["INFO", "server"]).await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        let mut server = format!("Redis {}", version.unwrap_or("of unknown version").trim());
        for setting in ["appendonly", "appendfsync", "save"] {
            // A managed server may refuse to tell.
            let answer: Answer<Vec<String>> = self.ask(&["CONFIG", "GET", setting]).await;
            if let Some(value) = answer.ok().and_then(|pair| pair.into_iter().nth(1)) {
                server.push_str(&format!(
                    ", {setting} {}",
                    if value.is_empty() { "off" } else { &value }
                ));
            }
        }
        Ok(server)
    }

    async fn pipeline(&self, commands: Pipeline) -> Answer<Vec<bool>> {
        Ok(commands.query_async(&mut self.0.clone()).await?)
    }
}

fn event_key(event: &EventId) -> String {
    format!("event:{event}")
}

fn user_key(user: &UserId) -> String {
    format!("user:{user}")
}

fn change(pipeline: &mut Pipeline, command: &str, Rsvp { user, event }: &Rsvp) {
    pipeline.cmd(command).arg(event_key(event)).arg(user.as_str());
    pipeline.cmd(command).arg(user_key(user)).arg(event.as_str());
}

#[async_trait]
impl Target for RedisByHand {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let command = match write.action {
            Action::Rsvp => "SADD",
            Action::Cancel => "SREM",
        };
        let mut both = pipe();
        change(&mut both, command, &write.rsvp);
        let changed = self.pipeline(both).await?;
        Ok(Outcome::from_changed(changed.first() == Some(&true)))
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        self.ask(&["SISMEMBER", &event_key(&pair.event), pair.user.as_str()]).await
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        self.ask(&["SCARD", &event_key(event)]).await
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        let words = ["SSCAN", &event_key(event), "0", "COUNT", &PAGE.to_string()];
        let (_, page): (String, Vec<String>) = self.ask(&words).await?;
        Ok(page.len())
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        let words = ["SSCAN", &user_key(user), "0", "COUNT", &PAGE.to_string()];
        let (_, page): (String, Vec<String>) = self.ask(&words).await?;
        Ok(page.len())
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        for pairs in pairs.chunks(CHUNK) {
            let mut all = pipe();
            pairs.iter().for_each(|pair| change(&mut all, "SADD", pair));
            self.pipeline(all).await?;
        }
        Ok(())
    }

    async fn clear(&self, events: &[EventId], users: &[UserId]) -> Answer<()> {
        let keys: Vec<String> =
            events.iter().map(event_key).chain(users.iter().map(user_key)).collect();
        for keys in keys.chunks(CHUNK) {
            cmd("UNLINK").arg(keys).exec_async(&mut self.0.clone()).await?;
        }
        Ok(())
    }
}
