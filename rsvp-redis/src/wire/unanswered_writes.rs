//! Settling writes without a reply. When the call returns the failure, they have taken effect or
//! never will, or the failure says until when they are pending.

use std::time::Duration;

use redis::Pipeline;
use rsvp_core::Deadline;
use tokio::time::{Instant, sleep, timeout_at};

use crate::wire::call_deadline::Call;
use crate::wire::connection::Connection;
use crate::wire::connection_fence::is_set;
use crate::wire::failure::Failure;
use crate::wire::node::Node;
use crate::wire::reply_timeout::ReplyTimeout;

/// The longest wait for a fence of a call without a deadline.
const FENCE_TIMEOUT: Duration = Duration::from_secs(1);
/// The first pause between attempts at a fence. It doubles.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl Node {
    /// Settles failed writes on a connection, if they were sent and had no reply. Returns their
    /// failure, as pending if they could not be settled in time.
    pub(super) async fn settle(
        &self,
        connection: &Connection,
        call: Call,
        failure: Failure,
    ) -> Failure {
        if !failure.is_unanswered() {
            return failure;
        }
        let now = Instant::now();
        let until = Deadline::after(self.travel_time(&failure));
        let end = call.end_of(FENCE_TIMEOUT.min(self.config.connect_timeout));
        let mut given_up = GiveUp { node: self, connection, at: now, until, averted: false };
        // Step 1: at a deadline, give the server a moment to catch up. A merely slow server then
        // settles the writes itself, without disturbing the other calls on the connection.
        if matches!(failure, Failure::Late(_)) && !connection.is_closed() {
            given_up.averted = catches_up(connection, (end - now) / 4).await;
            if given_up.averted {
                return failure;
            }
        }
        // Step 2: close the connection to new calls and remember it. From here on the next write to
        // the server fences it, even if this call is dropped.
        drop(given_up);
        // Step 3: fence it now, within the time left.
        let fenced = timeout_at(end, self.fence(connection)).await;
        // Step 4: the write is settled if the fence worked, here or in another call.
        if fenced.unwrap_or(false) || is_set(connection.fenced()) {
            return failure;
        }
        Failure::Pending(Box::new(failure), until)
    }

    /// The longest time for an abandoned command to arrive.
    ///
    /// After the peer closes a connection, or after a reset, the kernel sends nothing more on it.
    /// The server has received all it ever will, and executes it as soon as it runs. On a silent
    /// connection the kernel goes on sending until the TCP user timeout.
    fn travel_time(&self, failure: &Failure) -> Duration {
        match failure {
            Failure::Lost(_) => self.config.response_timeout,
            _ => self.config.user_timeout(),
        }
    }

    /// Fences a connection by another one. Tries until it is fenced, or until the user turns out
    /// to have no right to fence it. Returns whether it is fenced.
    async fn fence(&self, connection: &Connection) -> bool {
        // Many calls fail with a connection at once. One of them fences it for all.
        let _turn = self.fences.turn().await;
        let mut pause = PAUSE;
        loop {
            if is_set(connection.fenced()) {
                return true;
            }
            if let Ok(other) = self.replacement(connection).await {
                // A new connection has fenced it already, and one to another process need not.
                self.fences.replaced_by(other.identity.server, other.born);
                let kills = self.fences.due(other.identity);
                let reply_timeout =
                    ReplyTimeout { time: self.config.response_timeout, of_call: true };
                if kills.len() > 0 {
                    match other.send(kills.pipeline(), reply_timeout).await {
                        Ok(replies) => {
                            self.fences.replied(other.identity.server, &kills, &replies.values);
                        }
                        // The next attempt takes a path of its own.
                        Err(_) => other.close(),
                    }
                }
            }
            if is_set(connection.fenced()) {
                return true;
            }
            if self.fences.is_refused(connection.fenced()) {
                return false;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}

/// Whether a connection replies to a `PING` in time. The server executes the commands of a
/// connection in order, so it has executed all earlier ones. The driver never sends commands given
/// up in its queue.
async fn catches_up(connection: &Connection, time: Duration) -> bool {
    let mut ping = Pipeline::new();
    ping.cmd("PING");
    connection.send(ping, ReplyTimeout { time, of_call: true }).await.is_ok()
}

/// Gives a connection up on drop, also if the caller is dropped.
struct GiveUp<'a> {
    node: &'a Node,
    connection: &'a Connection,
    /// A moment before, since another connection may take its place at once.
    at: Instant,
    until: Deadline,
    /// Whether its writes were settled without a fence.
    averted: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if !self.averted {
            self.connection.give_up();
            let (identity, fenced) = (self.connection.identity, self.connection.fenced());
            self.node.fences.add(identity, fenced, self.at, self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redis::cmd;
    use rsvp_core::Operation;
    use rsvp_testkit::servers::RedisServer;

    use super::*;
    use crate::config::RedisConfig;
    use crate::wire::request::Request;

    const CALL: Call = Call::unbounded(Operation::Write);

    async fn node(server: &RedisServer) -> Node {
        let config = RedisConfig::from_url(&format!("{}?response_timeout=20s", server.url()));
        let config = Arc::new(config.unwrap());
        Node::new(&config, config.hosts.clone(), Arc::default()).unwrap()
    }

    /// A write that is given up at its deadline.
    async fn late_write(connection: &Connection) -> Failure {
        let mut write = Pipeline::new();
        write.cmd("SET").arg("late").arg(1);
        let reply_timeout = ReplyTimeout { time: Duration::from_millis(100), of_call: true };
        let failure = connection.send(write, reply_timeout).await.err();
        assert!(matches!(failure, Some(Failure::Late(_))), "{failure:?}");
        failure.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_late_write_to_a_slow_server_disturbs_nobody() {
        let server = RedisServer::start().await;
        let node = node(&server).await;
        let connection = node.connection(CALL).await.unwrap();
        server.pause().await;
        let failure = late_write(&connection).await;
        server.resume().await;
        let failure = node.settle(&connection, CALL, failure).await;
        assert!(matches!(failure, Failure::Late(_)), "it is settled: {failure:?}");
        assert!(!connection.is_closed());
        assert_eq!(server.command(&["GET", "late"]).await, "1");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_kill_evicts_no_other_connection() {
        let server = RedisServer::start().await;
        let node = node(&server).await;
        let connection = node.connection(CALL).await.unwrap();
        let other = node.connection(CALL).await.unwrap();
        assert_ne!(connection.identity, other.identity);
        server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
        let patient = [Request::write(0, vec![cmd("SET").arg("patient").arg(1).to_owned()])];
        let late = async {
            let failure = late_write(&connection).await;
            node.settle(&connection, CALL, failure).await
        };
        let patient = node.send_on(&connection, CALL, &patient, false);
        let (patient, late) = tokio::join!(patient, late);
        assert!(matches!(late, Failure::Late(_)), "it is settled: {late:?}");
        assert!(matches!(patient, Err(Failure::Lost(_))), "the kill ends it: {:?}", patient.err());
        assert!(connection.is_closed() && !other.is_closed());
        server.command(&["CLIENT", "UNPAUSE"]).await;
        assert_eq!(server.command(&["EXISTS", "late", "patient"]).await, "0");
    }
}
