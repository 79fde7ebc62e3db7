//! Reading from replicas that are fresh enough.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsvp_core::{Operation, Result};
use tokio::time::Instant;

use crate::PostgresConfig;
use crate::sql;
use crate::wire::connection::{Connector, Session};
use crate::wire::pool::{Pool, Work};

/// A replica that failed is not tried again for so long.
const SKIPPED: Duration = Duration::from_secs(1);

/// A trial that says nothing for so long, because its runtime is gone, gives way to another.
const TRIAL: Duration = Duration::from_secs(60);

/// The read replicas, asked in turn.
#[derive(Debug)]
pub(crate) struct Replicas {
    replicas: Vec<Arc<Replica>>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Replica {
    pool: Pool,
    down_until: Mutex<Option<Instant>>,
}

/// An answer of a replica, and up to where it had replayed the log when it gave it.
pub(crate) struct Replayed<T> {
    pub(crate) answer: T,
    pub(crate) position: u64,
}

impl Replicas {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self> {
        let replica = |host| {
            let pool = Pool::new(Connector::replica(config, host), config)?;
            Ok(Arc::new(Replica { pool, down_until: Mutex::new(None) }))
        };
        let replicas = config.replicas.iter().map(replica).collect::<Result<_>>()?;
        Ok(Self { replicas, next: AtomicUsize::new(0) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replicas.is_empty()
    }

    /// The answer of a replica of `origin` that has replayed up to `needed`, if there is one.
    ///
    /// Replicas that are down, fall behind or belong to another primary are passed over.
    pub(crate) async fn read<T, W>(
        &self,
        operation: Operation,
        origin: u64,
        needed: u64,
        work: W,
    ) -> Option<Replayed<T>>
    where
        T: Send + 'static,
        W: for<'a> Fn(&'a mut Session) -> Work<'a, T> + Clone + Send + Sync + 'static,
    {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..self.replicas.len() {
            let at = first.wrapping_add(offset) % self.replicas.len();
            let Some(replica) = self.replicas.get(at).filter(|replica| replica.is_up(operation))
            else {
                continue;
            };
            let work = work.clone();
            let run = replica.pool.run(operation, move |session| {
                Box::pin(read_if_replayed(session, origin, needed, work))
            });
            match run.await {
                Ok(Some(answer)) => return Some(answer),
                Ok(None) => {}
                Err(_) => replica.skip_for_a_while(),
            }
        }
        None
    }
}

/// What a session has replayed is asked *before* the read, and only if what is known is not
/// enough: a statement sees at least what was replayed when it began.
async fn read_if_replayed<T, W>(
    session: &mut Session,
    origin: u64,
    needed: u64,
    work: W,
) -> sqlx::Result<Option<Replayed<T>>>
where
    W: for<'a> Fn(&'a mut Session) -> Work<'a, T>,
{
    if session.origin != origin {
        // It may follow another timeline since; only a new connection asks.
        session.outdated = true;
        return Ok(None);
    }
    if session.replayed < needed || session.replayed == 0 {
        session.replayed = position(session).await?;
    }
    if session.replayed < needed {
        return Ok(None);
    }
    let position = session.replayed;
    Ok(Some(Replayed { answer: work(session).await?, position }))
}

/// How far the server of this session has got in its log.
pub(crate) async fn position(session: &mut Session) -> sqlx::Result<u64> {
    let position: i64 =
        sqlx::query_scalar(sql::POSITION).fetch_one(&mut session.connection).await?;
    Ok(position.cast_unsigned())
}

impl Replica {
    /// Whether it may be asked. One that is down is tried from time to time, beside the calls:
    /// it may take as long as the timeouts to learn that it is silent.
    fn is_up(self: &Arc<Self>, operation: Operation) -> bool {
        let mut down_until = self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = *down_until else { return true };
        let now = Instant::now();
        if now >= until {
            *down_until = Some(now + TRIAL);
            tokio::spawn(Arc::clone(self).try_again(operation));
        }
        false
    }

    async fn try_again(self: Arc<Self>, operation: Operation) {
        match self.pool.run(operation, |session| Box::pin(position(session))).await {
            Ok(_) => self.set_down_until(None),
            Err(_) => self.skip_for_a_while(),
        }
    }

    fn skip_for_a_while(&self) {
        self.set_down_until(Some(Instant::now() + SKIPPED));
    }

    fn set_down_until(&self, until: Option<Instant>) {
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}
