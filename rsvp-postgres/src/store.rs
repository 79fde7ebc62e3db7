//! The store: which statement, on which server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};
use tokio::time::Instant;

use crate::PostgresConfig;
use crate::admin::schema;
use crate::data::listing::{self, One, Pair, stored, stored_pair};
use crate::data::membership::Questions;
use crate::data::write::{Batch, together};
use crate::sql::Statements;
use crate::wire::connection::{Connector, Session};
use crate::wire::lag_tracker::{Marks, PRIMARY_ONLY};
use crate::wire::pool::{Pool, Work};
use crate::wire::replicas::{Replicas, position};

/// Keeps RSVPs in Postgres.
///
/// An acknowledged write is committed, and as durable as the server's settings make it: with
/// `fsync` and `synchronous_commit` on, it survives `kill -9` and power loss; with a synchronous
/// standby it survives the loss of the primary. Counts are exact: they move in the statement that
/// changes the rows, by the rows that it changed.
///
/// A batch is one statement and one round trip for its RSVPs, and one for its cancels if it has
/// any, however long it is; with read replicas, one more to learn the position of the write. A
/// batch with both is two statements because one that inserts and deletes cannot lock its rows in
/// one order, and writers would deadlock. A batch of 1,024 pairs or more is written in two to four
/// pieces at once, if the pool has as many connections, each on one of its own, because the server
/// works on a statement with one core.
///
/// Every call is bounded by the timeouts of its [`PostgresConfig`]. It runs on a task of its own,
/// so a caller that goes away leaves a write to finish. Cloning is cheap and shares the
/// connections.
///
/// # Replicas
///
/// [`Consistency::Strong`] stays on the primary. [`Consistency::Session`] goes to a replica that
/// has replayed the token's position, [`Consistency::Bounded`] to one that is known to be within
/// the bound, [`Consistency::Eventual`] to any; all go to the primary where there is none. The
/// lag is known by asking the primary, a few times a second at most and only while there are such
/// reads, where it is in its log.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: PostgresConfig,
    primary: Pool,
    replicas: Replicas,
    marks: Marks,
    sql: Statements,
}

impl PostgresStore {
    /// Connects to the primary and checks its tables.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `schema` if the tables are missing or of another
    /// version, [`Error::Unavailable`] if no host accepts writes, otherwise what the server
    /// reports.
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        if config.migrate {
            schema::migrate(&config).await?;
        }
        let primary = Pool::new(Connector::primary(&config), &config)?;
        let name = config.schema.clone();
        let check = primary.run(Operation::Open, move |session| {
            Box::pin(async move { schema::check(session, &name).await })
        });
        check.await??;
        let replicas = Replicas::new(&config)?;
        let sql = Statements::new(&config.schema);
        let marks = Marks::default();
        Ok(Self { inner: Arc::new(Inner { config, primary, replicas, marks, sql }) })
    }

    /// What it was opened with.
    pub fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// How many connections to the primary are open, and how many of them are idle.
    pub fn connections(&self) -> (usize, usize) {
        self.inner.primary.connections()
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.inner.sql
    }

    /// Reads from a server that is as fresh as `consistency` asks. `work` may run more than once.
    async fn read<T, W>(
        &self,
        operation: Operation,
        consistency: &Consistency,
        work: W,
    ) -> Result<(T, Duration)>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a mut Session) -> Work<'a, T> + Clone + Send + Sync + 'static,
    {
        let inner = &self.inner;
        if let Some((origin, needed)) = self.needed(operation, consistency).await {
            let replicas = &inner.replicas;
            if let Some(read) = replicas.read(operation, origin, needed, work.clone()).await {
                let age = inner.marks.age(origin, read.position);
                let (age, fresh_enough) = match consistency {
                    Consistency::Bounded(bound) => match age {
                        Some(age) => (age, age <= *bound),
                        None => (*bound, false),
                    },
                    _ => (age.unwrap_or(Duration::MAX), true),
                };
                if fresh_enough {
                    return Ok((read.answer, age));
                }
            }
        }
        let answer = inner.primary.run(operation, move |session| work(session)).await?;
        Ok((answer, Duration::ZERO))
    }

    /// The log, and the position in it, that a replica must have replayed to answer; nothing if
    /// only the primary will do.
    async fn needed(&self, operation: Operation, consistency: &Consistency) -> Option<(u64, u64)> {
        let inner = &self.inner;
        if inner.replicas.is_empty() {
            return None;
        }
        let origin = inner.primary.origin();
        match consistency {
            Consistency::Strong => None,
            Consistency::Session(token) if token.is_empty() => Some((origin, 0)),
            // A token of other logs may be of this one's past, before a fail-over.
            Consistency::Session(token) => {
                let position = token.position(origin).filter(|at| *at != PRIMARY_ONLY)?;
                Some((origin, position))
            }
            Consistency::Bounded(bound) => {
                if let Some(now) = inner.marks.claim(*bound) {
                    let marking = tokio::spawn(self.clone().mark(operation, now));
                    if inner.marks.needed(origin, *bound).is_none() {
                        // Whether it succeeded shows in the marks.
                        let _ = marking.await;
                    }
                }
                let origin = inner.primary.origin();
                inner.marks.needed(origin, *bound).map(|needed| (origin, needed))
            }
            Consistency::Eventual => Some((origin, 0)),
        }
    }

    /// Asks the primary where it is; `now` is before that.
    async fn mark(self, operation: Operation, now: Instant) {
        let at = self.inner.primary.run(operation, |session| {
            Box::pin(async move { Ok((session.origin, position(session).await?)) })
        });
        if let Ok((origin, position)) = at.await {
            self.inner.marks.add(now, origin, position);
        }
    }

    /// Runs statements that change something, and says where in the log they are.
    async fn write<T, W>(&self, operation: Operation, work: W) -> Result<(T, SessionToken)>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut Session, &'a Statements) -> Work<'a, T> + Send + 'static,
    {
        let inner = self.inner.clone();
        let run = self.inner.primary.run(operation, move |session| {
            Box::pin(async move {
                let answer = work(session, &inner.sql).await?;
                session.applied = true;
                // A position is behind a commit only if it is asked for after it.
                let position = match inner.replicas.is_empty() {
                    true => PRIMARY_ONLY,
                    false => position(session).await?,
                };
                Ok((answer, SessionToken::at(session.origin, position)))
            })
        });
        run.await
    }

    async fn removal(
        &self,
        operation: Operation,
        limit: PageLimit,
        work: impl for<'a> FnOnce(&'a mut Session, &'a Statements) -> Work<'a, i64> + Send + 'static,
    ) -> Result<RemovalStep> {
        let (removed, token) = self.write(operation, work).await?;
        let removed = removed.unsigned_abs();
        Ok(RemovalStep { removed, more: removed >= limit.get() as u64, token })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", &self.inner.config)
            .field("primary", &self.inner.primary)
            .field("replicas", &self.inner.replicas)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for PostgresStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        let batch = Batch::new(writes);
        let pieces = batch.pieces(self.inner.config.pool_size).map(|piece| {
            self.write(Operation::Write, |session, sql| Box::pin(piece.write(session, sql)))
        });
        let (changed, token) = together(join_all(pieces).await)?;
        Ok(BatchReceipt { outcomes: batch.outcomes(&changed), token })
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        consistency: &Consistency,
    ) -> Result<Vec<bool>> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, questions) = (self.inner.sql.clone(), Questions::new(pairs));
        let read = self.read(Operation::HasRsvped, consistency, move |session| {
            let (sql, questions) = (sql.clone(), questions.clone());
            Box::pin(async move { questions.ask(session, &sql).await })
        });
        Ok(read.await?.0)
    }

    async fn rsvp_counts(
        &self,
        events: &[EventId],
        consistency: &Consistency,
    ) -> Result<Vec<Count>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, events) = (self.inner.sql.counts.clone(), Arc::<[EventId]>::from(events));
        let read = self.read(Operation::RsvpCounts, consistency, move |session| {
            let (sql, events) = (sql.clone(), events.clone());
            Box::pin(async move {
                let events: Vec<&str> = events.iter().map(EventId::as_str).collect();
                let query = sqlx::query_scalar(&sql).bind(events);
                query.fetch_one(&mut session.connection).await
            })
        });
        let (counts, age): (Vec<i64>, Duration) = read.await?;
        let count = |count| match u64::try_from(count) {
            Ok(value) => Ok(Count::aged(value, age)),
            Err(_) => Err(Error::corrupt(
                Operation::RsvpCounts,
                format!("a count of {count}; PostgresStore::repair mends it"),
            )),
        };
        counts.into_iter().map(count).collect()
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let sql = self.inner.sql.attendees.clone();
        let listing = listing::of_one(listing::ATTENDEES, sql, event.as_str(), request)?;
        let (operation, work) = (Operation::Attendees, listing.work::<One>());
        let (rows, _) = self.read(operation, &request.consistency, work).await?;
        listing.page(rows, |(user,)| user.clone(), |(user,)| stored(operation, UserId::new(user)))
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let sql = self.inner.sql.events_of.clone();
        let listing = listing::of_one(listing::EVENTS_OF, sql, user.as_str(), request)?;
        let (operation, work) = (Operation::EventsOf, listing.work::<One>());
        let (rows, _) = self.read(operation, &request.consistency, work).await?;
        listing.page(
            rows,
            |(event,)| event.clone(),
            |(event,)| stored(operation, EventId::new(event)),
        )
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let listing = listing::of_all(self.inner.sql.scan.clone(), request)?;
        let (operation, work) = (Operation::Scan, listing.work::<Pair>());
        let (rows, _) = self.read(operation, &request.consistency, work).await?;
        listing.page(rows, |(event, user)| format!("{event}\0{user}"), stored_pair)
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        let event = event.clone();
        self.removal(Operation::RemoveEvent, limit, move |session, sql| {
            Box::pin(async move {
                let most = limit.get() as i64;
                let query = sqlx::query_scalar(&sql.remove_event).bind(event.as_str()).bind(most);
                let removed: i64 = query.fetch_one(&mut session.connection).await?;
                session.applied = true;
                if removed < most {
                    let query = sqlx::query(&sql.drop_slots).bind(event.as_str());
                    query.execute(&mut session.connection).await?;
                }
                Ok(removed)
            })
        })
        .await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let user = user.clone();
        self.removal(Operation::RemoveUser, limit, move |session, sql| {
            Box::pin(async move {
                let query = sqlx::query_scalar(&sql.remove_user)
                    .bind(user.as_str())
                    .bind(limit.get() as i64);
                query.fetch_one(&mut session.connection).await
            })
        })
        .await
    }

    async fn ready(&self) -> Result<()> {
        let inner = self.inner.clone();
        let run = self.inner.primary.run(Operation::Ready, move |session| {
            Box::pin(async move {
                sqlx::query(&inner.sql.ready).execute(&mut session.connection).await.map(drop)
            })
        });
        run.await
    }
}
