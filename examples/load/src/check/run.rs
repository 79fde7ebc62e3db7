//! A run: one walk for each connection, then the comparison of everything.

use std::collections::HashSet;
use std::sync::Arc;

use rsvp::SessionToken;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Failure;
use super::plan::Plan;
use super::report::Report;
use super::verify;
use super::walk::{Walk, Walked};
use super::world::World;

impl Plan {
    /// Runs the operations and compares every answer with the model. Wrong answers are in the
    /// report.
    ///
    /// # Errors
    ///
    /// If the plan has no event, no connection, or fewer users than connections; and if the
    /// service gives no answer to compare.
    pub async fn run(self) -> Result<Report, Failure> {
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
