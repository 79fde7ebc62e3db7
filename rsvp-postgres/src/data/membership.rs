//! Whether pairs exist: one statement for a single event, another for pairs of many.

use std::collections::HashSet;
use std::sync::Arc;

use rsvp_core::Rsvp;

use crate::sql::Statements;
use crate::wire::connection::Session;

/// The pairs that a call asks for, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    pairs: Arc<[Rsvp]>,
    one_event: bool,
}

impl Questions {
    pub(crate) fn new(pairs: &[Rsvp]) -> Self {
        let one_event = pairs.windows(2).all(|two| match two {
            [a, b] => a.event == b.event,
            _ => true,
        });
        Self { pairs: pairs.into(), one_event }
    }

    /// Asks, and answers for each pair in turn.
    pub(crate) async fn ask(
        &self,
        session: &mut Session,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        match &*self.pairs {
            [first, ..] if self.one_event => self.ask_one(first, session, sql).await,
            _ => self.ask_many(session, sql).await,
        }
    }

    async fn ask_one(
        &self,
        Rsvp { event, .. }: &Rsvp,
        session: &mut Session,
        sql: &Statements,
    ) -> sqlx::Result<Vec<bool>> {
        let users: Vec<&str> = self.pairs.iter().map(|pair| pair.user.as_str()).collect();
        let query = sqlx::query_scalar(&sql.has_rsvped_one).bind(event.as_str()).bind(users);
        let present: Vec<String> = query.fetch_one(&mut session.connection).await?;
        let present: HashSet<&str> = present.iter().map(String::as_str).collect();
        Ok(self.pairs.iter().map(|pair| present.contains(pair.user.as_str())).collect())
    }

    async fn ask_many(&self, session: &mut Session, sql: &Statements) -> sqlx::Result<Vec<bool>> {
        let pairs = self.pairs.iter().map(|pair| (pair.event.as_str(), pair.user.as_str()));
        let (events, users): (Vec<&str>, Vec<&str>) = pairs.unzip();
        let query = sqlx::query_scalar(&sql.has_rsvped).bind(events).bind(users);
        query.fetch_one(&mut session.connection).await
    }
}
