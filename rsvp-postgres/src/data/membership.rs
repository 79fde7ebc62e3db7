//! Whether pairs exist: one statement for pairs of a single event, another for pairs of many.

use std::collections::HashSet;
use std::sync::Arc;

use rsvp_core::{Operation, Rsvp};

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// Tells for each pair of a call, of which there is at least one, whether it exists.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pairs: Arc<[Rsvp]>,
    one_event: bool,
}

impl Membership {
    pub(crate) fn new(pairs: &[Rsvp]) -> Self {
        let one_event = pairs.windows(2).all(|two| match two {
            [a, b] => a.event == b.event,
            _ => true,
        });
        Self { pairs: pairs.into(), one_event }
    }

    async fn of_one_event(
        &self,
        Rsvp { event, .. }: &Rsvp,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        let users: Vec<&str> = self.pairs.iter().map(|pair| pair.user.as_str()).collect();
        let query = sqlx::query_scalar(&sql.has_rsvped_one).bind(event.as_str()).bind(users);
        let present: Vec<String> = query.fetch_one(&mut connection.pg).await?;
        let present: HashSet<&str> = present.iter().map(String::as_str).collect();
        Ok(self.pairs.iter().map(|pair| present.contains(pair.user.as_str())).collect())
    }

    async fn of_many_events(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        let pairs = self.pairs.iter().map(|pair| (pair.event.as_str(), pair.user.as_str()));
        let (events, users): (Vec<&str>, Vec<&str>) = pairs.unzip();
        let query = sqlx::query_scalar(&sql.has_rsvped).bind(events).bind(users);
        query.fetch_one(&mut connection.pg).await
    }
}

impl Work for Membership {
    /// For each pair in turn.
    type Answer = Vec<bool>;

    fn operation(&self) -> Operation {
        Operation::HasRsvped
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> sqlx::Result<Vec<bool>> {
        match &*self.pairs {
            [first, ..] if self.one_event => self.of_one_event(first, connection, sql).await,
            _ => self.of_many_events(connection, sql).await,
        }
    }
}
