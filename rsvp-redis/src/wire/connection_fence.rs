//! Fences for abandoned connections, closed while writes on them had no reply.
//!
//! The server may still hold commands of such a connection and execute them at any moment. `CLIENT
//! KILL` on another connection to the same process discards them. After its reply, each command has
//! been executed or never will be. A connection to another process needs no fence. A restarted
//! process has lost its clients, and a replaced primary loses the effects of later commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Pipeline, Value, cmd};
use rsvp_core::Deadline;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use tokio::time::Instant;

use crate::wire::connection_identity::ConnectionIdentity;

/// The abandoned connections to one node without a fence yet.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    given_up: Mutex<Vec<GivenUp>>,
    /// Whether there are any. Most writes read only this, without the lock.
    any: AtomicBool,
    /// Held during a fence (single flight).
    turn: AsyncMutex<()>,
}

#[derive(Debug)]
struct GivenUp {
    identity: ConnectionIdentity,
    /// Whether the user may not kill it. Then only time settles its writes.
    refused: bool,
    /// The moment when it was abandoned.
    at: Instant,
    until: Deadline,
    fenced: Arc<AtomicBool>,
}

/// The clients of a server to kill before another write, in the order of their commands.
#[derive(Debug, Default)]
pub(crate) struct Kills(Vec<u64>);

impl Fences {
    /// Remembers a connection, abandoned at a moment. Its writes are settled at `until` at the
    /// latest, unless the server stands still for longer.
    pub(crate) fn add(
        &self,
        identity: ConnectionIdentity,
        fenced: &Arc<AtomicBool>,
        at: Instant,
        until: Deadline,
    ) {
        let mut given_up = self.lock();
        if is_set(fenced) {
            return;
        }
        match given_up.iter_mut().find(|one| Arc::ptr_eq(&one.fenced, fenced)) {
            Some(known) => {
                known.at = known.at.max(at);
                known.until = known.until.max(until);
            }
            None => {
                let (refused, fenced) = (identity.id.is_none(), Arc::clone(fenced));
                given_up.push(GivenUp { identity, refused, at, until, fenced });
            }
        }
        self.any.store(true, Ordering::Release);
    }

    /// The clients to kill before another write on a connection to `identity`. The connection
    /// itself is not among them, since it executes its commands in order.
    pub(crate) fn due(&self, identity: ConnectionIdentity) -> Kills {
        if !self.any.load(Ordering::Acquire) {
            return Kills::default();
        }
        let given_up = self.lock();
        let is_due = |one: &&GivenUp| {
            !one.refused && one.identity.server == identity.server && one.identity != identity
        };
        Kills(given_up.iter().filter(is_due).filter_map(|one| one.identity.id).collect())
    }

    /// Settles the abandoned connections to other processes, after `server` turned out to be the
    /// primary on a connection `born` after they were abandoned. An older connection tells nothing.
    /// Its server may have been demoted since, and theirs promoted.
    pub(crate) fn replaced_by(&self, server: u64, born: Instant) {
        if self.any.load(Ordering::Acquire) {
            self.settle(&mut self.lock(), |one| one.identity.server != server && one.at < born);
        }
    }

    /// Takes the replies of a server to `kills`.
    pub(crate) fn replied(&self, server: u64, kills: &Kills, replies: &[Value]) {
        let mut given_up = self.lock();
        for (id, reply) in kills.0.iter().zip(replies) {
            let killed = ConnectionIdentity { server, id: Some(*id) };
            match reply {
                // Also with 0 killed clients, since the client was gone already.
                Value::Int(_) => self.settle(&mut given_up, |one| one.identity == killed),
                _ => given_up.iter_mut().filter(|one| one.identity == killed).for_each(|one| {
                    one.refused = true;
                }),
            }
        }
    }

    /// The end of the wait of a write for unstoppable ones.
    pub(crate) fn held_until(&self, server: u64) -> Option<Deadline> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut given_up = self.lock();
        self.settle(&mut given_up, |one| one.refused && one.until.has_passed());
        let held = given_up.iter().filter(|one| one.refused && one.identity.server == server);
        held.map(|one| one.until).max()
    }

    /// Whether only time can settle the writes of a connection.
    pub(crate) fn is_refused(&self, fenced: &Arc<AtomicBool>) -> bool {
        let given_up = self.lock();
        given_up.iter().any(|one| one.refused && Arc::ptr_eq(&one.fenced, fenced))
    }

    /// Whether all abandoned connections are settled.
    pub(crate) fn are_settled(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Waits for the turn to fence.
    pub(crate) async fn turn(&self) -> AsyncMutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<GivenUp>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, given_up: &mut Vec<GivenUp>, settled: impl Fn(&GivenUp) -> bool) {
        given_up.retain(|one| {
            let settled = settled(one);
            if settled {
                one.fenced.store(true, Ordering::Release);
            }
            !settled
        });
        self.any.store(!given_up.is_empty(), Ordering::Release);
    }
}

impl Kills {
    /// The number of replies to the commands.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A pipeline of nothing else.
    pub(crate) fn pipeline(&self) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(self.len());
        self.commands().for_each(|kill| {
            pipeline.add_command(kill);
        });
        pipeline
    }

    pub(crate) fn commands(&self) -> impl Iterator<Item = Cmd> {
        self.0.iter().map(|id| cmd("CLIENT").arg("KILL").arg("ID").arg(*id).to_owned())
    }
}

/// Whether a connection has been fenced.
pub(crate) fn is_set(fenced: &AtomicBool) -> bool {
    fenced.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;

    fn later(base: Instant, ms: u64) -> Instant {
        base + Duration::from_millis(ms)
    }

    /// A connection to `B` that was given up at a moment, and whether it is fenced.
    fn given_up(fences: &Fences, at: Instant) -> Arc<AtomicBool> {
        let (identity, fenced) = (ConnectionIdentity { server: B, id: Some(7) }, Arc::default());
        fences.add(identity, &fenced, at, Deadline::after(Duration::from_secs(1)));
        fenced
    }

    #[test]
    fn an_older_connection_to_another_server_settles_nothing() {
        let (fences, base) = (Fences::default(), Instant::now());
        let fenced = given_up(&fences, later(base, 10));
        fences.replaced_by(A, base);
        fences.replaced_by(A, later(base, 10));
        assert!(!is_set(&fenced));
        assert_eq!(fences.due(ConnectionIdentity { server: B, id: Some(8) }).len(), 1);
        // Nor does a younger one to the same server, which may be the primary still.
        fences.replaced_by(B, later(base, 20));
        assert!(!is_set(&fenced));
        fences.replaced_by(A, later(base, 20));
        assert!(is_set(&fenced));
        assert_eq!(fences.due(ConnectionIdentity { server: B, id: Some(8) }).len(), 0);
    }

    #[test]
    fn a_connection_that_is_given_up_again_counts_from_then() {
        let (fences, base) = (Fences::default(), Instant::now());
        let fenced = given_up(&fences, base);
        let identity = ConnectionIdentity { server: B, id: Some(7) };
        fences.add(identity, &fenced, later(base, 10), Deadline::after(Duration::from_secs(1)));
        fences.replaced_by(A, later(base, 5));
        assert!(!is_set(&fenced));
        fences.replaced_by(A, later(base, 11));
        assert!(is_set(&fenced));
    }
}
