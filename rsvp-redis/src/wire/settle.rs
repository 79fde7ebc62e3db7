//! Settling writes without a reply: when the failure is told, they have taken effect or never will.

use std::time::Duration;

use rsvp_core::Deadline;
use tokio::time::{Instant, sleep, timeout_at};

use crate::wire::call::{Call, Patience};
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::fence::is_set;
use crate::wire::node::Node;

/// The longest time that a call without a deadline waits for a fence.
const FENCE_TIMEOUT: Duration = Duration::from_secs(1);
/// The first pause between attempts at a fence. It doubles.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl Node {
    /// Settles writes that failed on a connection, if they were sent and had no reply. Returns their
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
        // Step 1: nobody else uses the connection, and the next write to the server fences it.
        // The moment is taken first, since a new connection may take its place at once.
        let now = Instant::now();
        connection.close();
        let until = Deadline::after(self.travel_time(&failure));
        self.fences.add(connection, now, until);
        // Step 2: fence it now, as long as there is time.
        let end = call.end_of(FENCE_TIMEOUT.min(self.config.connect_timeout));
        let fenced = timeout_at(end, self.fence(connection)).await;
        // Step 3: another caller may have been faster.
        if fenced.unwrap_or(false) || is_set(connection.fenced()) {
            return failure;
        }
        Failure::Pending(Box::new(failure), until)
    }

    /// How long a command may still be under way that was given up now.
    ///
    /// The kernel sends nothing more on a connection that the peer has closed or that was reset, so
    /// the server has what it will ever have, and executes it as soon as it runs. On a connection
    /// that is silent the kernel goes on sending until the TCP user timeout.
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
                self.fences.replaced_by(other.peer.server, other.born);
                let kills = self.fences.due(other.peer);
                let patience = Patience { time: self.config.response_timeout, of_call: true };
                if kills.len() > 0
                    && let Ok(replies) = other.send(kills.pipeline(), patience).await
                {
                    self.fences.replied(other.peer.server, &kills, &replies.values);
                }
            }
            if is_set(connection.fenced()) {
                return true;
            }
            if self.fences.is_refused(connection) {
                return false;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}
