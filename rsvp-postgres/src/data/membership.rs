//! Membership of pairs, with one statement for a single event and another for many events.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use rsvp_core::{Operation, Rsvp};

use super::batch::{Batch, split};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Tells for each pair whether it exists. There is at least one pair.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pairs: Arc<[Rsvp]>,
    /// The part of the pairs in this statement.
    range: Range<usize>,
}

impl Membership {
    pub(crate) fn new(pairs: &[Rsvp]) -> Self {
        Self { pairs: pairs.into(), range: 0..pairs.len() }
    }

    fn pairs(&self) -> &[Rsvp] {
        self.pairs.get(self.range.clone()).unwrap_or_default()
    }

    async fn of_one_event(
        &self,
        Rsvp { event, .. }: &Rsvp,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        let mut users: Vec<&str> = self.pairs().iter().map(|pair| pair.user.as_str()).collect();
        // Neighbours in the index are looked up one after another, while their page is at hand.
        users.sort_unstable();
        let query = sqlx::query_as(&sql.has_rsvped_one).bind(event.as_str()).bind(users);
        let query = query.persistent(connection.keeps_statements());
        let (present, read_only): (Vec<String>, bool) = query.fetch_one(&mut connection.pg).await?;
        connection.read_only = read_only;
        let present: HashSet<&str> = present.iter().map(String::as_str).collect();
        Ok(self.pairs().iter().map(|pair| present.contains(pair.user.as_str())).collect())
    }

    async fn of_many_events(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        let pairs = self.pairs().iter().map(|pair| (pair.event.as_str(), pair.user.as_str()));
        let (events, users): (Vec<&str>, Vec<&str>) = pairs.unzip();
        let query = sqlx::query_as(&sql.has_rsvped).bind(events).bind(users);
        let query = query.persistent(connection.keeps_statements());
        let (present, read_only) = query.fetch_one(&mut connection.pg).await?;
        connection.read_only = read_only;
        Ok(present)
    }
}

impl Work for Membership {
    /// Whether each pair exists, in turn.
    type Answer = Vec<bool>;

    fn operation(&self) -> Operation {
        Operation::HasRsvped
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Vec<bool>, WorkError> {
        let answers = match self.pairs() {
            [first, others @ ..] if others.iter().all(|pair| pair.event == first.event) => {
                self.of_one_event(first, connection, sql).await
            }
            _ => self.of_many_events(connection, sql).await,
        };
        Ok(answers?)
    }
}

impl Batch for Membership {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, at: usize) -> (Self, Self) {
        let (first, second) = split(&self.range, at);
        (Self { range: first, ..self.clone() }, Self { range: second, ..self.clone() })
    }
}
