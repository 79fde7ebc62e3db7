//! Random operations on a running service, compared with a model.
//!
//! Each connection owns some of the users, so the outcome of all it does to them is known
//! beforehand. Counts mix the users of all connections: they are compared with bounds while
//! writes are in flight, and exactly at the end, together with every list in both directions.

mod client;
mod moves;
mod probe;
mod random;
mod report;
mod verify;
mod walk;
mod world;

use std::collections::HashSet;
use std::sync::Arc;

use rsvp::SessionToken;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use self::client::{Answer, Client};
pub(crate) use self::report::Report;
use self::walk::{Walk, Walked};
pub(crate) use self::world::World;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What to do, and to which service.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) operations: usize,
    pub(crate) connections: usize,
    pub(crate) users: usize,
    pub(crate) events: usize,
    pub(crate) seed: u64,
    pub(crate) prefix: String,
}

impl Plan {
    /// Fails only if there is no answer to compare; what is answered wrong is in the report.
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        if self.connections == 0 || self.connections > self.users || self.events == 0 {
            return Err("there must be an event, a connection, and a user for each".into());
        }
        let world = Arc::new(World::new(&self.prefix, self.users, self.events));
        let mut walks = JoinSet::new();
        let begin = Instant::now();
        for connection in 0..self.connections {
            let walk = Walk::begin(&self, connection, Arc::clone(&world)).await?;
            // The first ones take the rest of the division.
            let rest = usize::from(connection < self.operations % self.connections);
            walks.spawn(walk.steps(self.operations / self.connections + rest));
        }

        let mut report = Report::new(self.operations);
        let mut going = HashSet::new();
        let mut session = SessionToken::new();
        while let Some(walked) = walks.join_next().await {
            let Walked { going: own, session: token, tally } = walked??;
            going.extend(own);
            session.merge(&token);
            report.add(tally);
        }
        report.took(begin.elapsed());
        report.verified(verify::everything(&self.address, &world, &going, session).await?);
        Ok(report)
    }
}
