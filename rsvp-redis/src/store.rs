//! The store: which commands for which call.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::{Value, cmd};
use rsvp_core::{
    BatchReceipt, Consistency, Count, Cursor, Effect, Error, EventId, FoldedBatch, Operation, Page,
    PageLimit, PageRequest, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write,
    async_trait,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin::durability;
use crate::data::cursor::{Reader, Writer};
use crate::data::keys::{Key, Keys, Kind};
use crate::data::scan_all::Walk;
use crate::data::scan_key::{Position, list};
use crate::data::user_index::read_truth;
use crate::data::write::{all, apply};
use crate::wire::client::Network;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Unit};
use crate::{Durability, RedisConfig};

/// The tags of the cursors of the listings.
const ATTENDEES: u8 = b'a';
const EVENTS_OF: u8 = b'e';
const SCAN: u8 = b's';

/// Keeps RSVPs in Redis, on one server or in a cluster.
///
/// What an acknowledged write survives depends on the server: see the table in the
/// [crate's documentation](crate), and [`durability`](Self::durability). Counts are exact: they
/// are the sizes of the sets that are the truth.
///
/// A batch costs one round trip on a single server, and three in a cluster (the events, the users,
/// and a second look at the events), however long it is. Membership and counts cost one. All calls
/// share a few connections; dropping a call leaves a write to finish.
///
/// Every wait is bounded by the timeouts of its [`RedisConfig`]. Cloning is cheap and shares the
/// connections.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    network: Arc<Network>,
    keys: Keys,
    in_flight: Arc<Semaphore>,
    durability: Durability,
}

impl RedisStore {
    /// Connects, checks that the keys have this layout, and logs a warning if a server keeps
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `event_spread` if the data was written with another
    /// one, or with the field `tls_ca` if that file cannot be read; [`Error::Unavailable`] if no
    /// primary can be reached; [`Error::Backend`] if the credentials are wrong or the URL is for
    /// the other kind of server; otherwise what the server reports.
    pub async fn open(config: RedisConfig) -> Result<Self> {
        #[cfg(feature = "tls")]
        crate::wire::tls::check(config.tls_ca.as_deref())?;
        let keys = Keys::new(&config.prefix, config.event_spread);
        let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
        let network = Arc::new(Network::open(Arc::new(config)).await?);
        check_layout(&network, &keys).await?;
        let durability = durability::check(&network).await;
        Ok(Self { inner: Arc::new(Inner { network, keys, in_flight, durability }) })
    }

    /// What it was opened with.
    pub fn config(&self) -> &RedisConfig {
        self.inner.network.config()
    }

    /// What of an acknowledged write the servers had on disk when the store was opened.
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.inner.network
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// A place among the calls that may be under way.
    pub(crate) fn permit(&self, operation: Operation) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.inner.in_flight).try_acquire_owned();
        permit.map_err(|_| Error::overloaded(operation))
    }

    /// Runs `work` on a task of its own, so that a caller who goes away leaves it to finish: a
    /// write takes several steps, and a connection of its own must not be left in the middle of an
    /// answer.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let running = tokio::spawn(work).await;
        running
            .unwrap_or_else(|error| Err(Error::backend(operation, Effect::Unknown, false, error)))
    }
}

/// An id from a key, which only something other than this library can have made illegal.
pub(crate) fn stored<T>(operation: Operation, id: Result<T>) -> Result<T> {
    id.map_err(|error| Error::corrupt(operation, format!("a stored id: {error}")))
}

/// The first store that is opened says how the keys are laid out, and all others must agree.
async fn check_layout(network: &Arc<Network>, keys: &Keys) -> Result<()> {
    let (key, layout) = keys.layout();
    let set = cmd("SETNX").arg(&key.name).arg(&layout).to_owned();
    let get = cmd("GET").arg(&key.name).to_owned();
    let unit = Unit::together(key.slot, vec![set, get]);
    let answers = all(Operation::Open, network.run(Operation::Open, vec![unit]).await)?;
    let found = answers.into_iter().next().and_then(|answer| answer.values.into_iter().nth(1));
    match found {
        Some(Value::BulkString(found)) if found == layout.as_bytes() => Ok(()),
        _ => Err(Error::invalid_input(
            "event_spread",
            format!("is not that of the data; the key {} must say {layout:?}", key.name),
        )),
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", self.config())
            .field("network", &self.inner.network)
            .field("durability", &self.inner.durability)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for RedisStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        let permit = self.permit(Operation::Write)?;
        let (store, batch) = (self.clone(), FoldedBatch::new(writes));
        self.to_the_end(Operation::Write, async move {
            let _permit = permit;
            let (network, keys) = (store.network(), store.keys());
            let changed = apply(network, keys, Operation::Write, batch.finals()).await?;
            // They are asked for in the order of the final writes.
            let mut changed = changed.into_iter();
            let outcomes = batch.outcomes(|_| changed.next().unwrap_or(false));
            Ok(BatchReceipt { outcomes, token: SessionToken::new() })
        })
        .await
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        let _permit = self.permit(Operation::HasRsvped)?;
        read_truth(self.network(), self.keys(), Operation::HasRsvped, pairs.iter()).await
    }

    async fn rsvp_counts(&self, events: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        let operation = Operation::RsvpCounts;
        let _permit = self.permit(operation)?;
        let parts = self.keys().parts();
        let unit = |event: &EventId, part| {
            let key = self.keys().event(event, part);
            Unit::read(key.slot, cmd("SCARD").arg(&key.name).to_owned())
        };
        let units = events.iter().flat_map(|event| (0..parts).map(move |part| unit(event, part)));
        let answers = all(operation, self.network().run(operation, units.collect()).await)?;
        let size = |answer: &Answer| match answer.values.first() {
            Some(Value::Int(size)) => u64::try_from(*size).ok(),
            _ => None,
        };
        let counts = answers.chunks(usize::from(parts)).map(|parts| {
            let value: Option<u64> = parts.iter().map(size).sum();
            let value = value.ok_or_else(|| Error::corrupt(operation, "a size that is none"))?;
            Ok(Count::aged(value, Duration::ZERO))
        });
        counts.collect()
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let operation = Operation::Attendees;
        let _permit = self.permit(operation)?;
        let (mut part, mut position) = match Reader::of(ATTENDEES, request)? {
            None => (0, Position::default()),
            Some(mut reader) => {
                let (part, position) = (reader.small()?, reader.position()?);
                reader.end()?;
                (part, position)
            }
        };
        if part >= self.keys().parts() {
            return Err(Cursor::refused());
        }
        let (limit, mut users) = (request.limit.get(), Vec::new());
        while part < self.keys().parts() {
            if users.len() >= limit {
                break;
            }
            let key = self.keys().event(event, part);
            let room = limit - users.len();
            let listed =
                list(self.network(), operation, (&key, Kind::Event), position, room).await?;
            for user in listed.members {
                users.push(stored(operation, UserId::new(user))?);
            }
            match listed.next {
                Some(next) => {
                    let next = Writer::new(ATTENDEES).small(part).position(&next).cursor();
                    return Ok(Page { items: users, next: Some(next) });
                }
                None => {
                    part += 1;
                    position = Position::default();
                }
            }
        }
        let is_last = part >= self.keys().parts();
        let next = Writer::new(ATTENDEES).small(part).position(&position).cursor();
        Ok(Page { items: users, next: (!is_last).then_some(next) })
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let operation = Operation::EventsOf;
        let _permit = self.permit(operation)?;
        let position = match Reader::of(EVENTS_OF, request)? {
            None => Position::default(),
            Some(mut reader) => {
                let position = reader.position()?;
                reader.end()?;
                position
            }
        };
        let key = self.keys().user(user);
        let limit = request.limit.get();
        let listed = list(self.network(), operation, (&key, Kind::User), position, limit).await?;
        let events = listed.members.into_iter().map(|event| stored(operation, EventId::new(event)));
        let items = events.collect::<Result<_>>()?;
        let next = listed.next.map(|next| Writer::new(EVENTS_OF).position(&next).cursor());
        Ok(Page { items, next })
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let _permit = self.permit(Operation::Scan)?;
        let (network, keys) = (self.network(), self.keys());
        let walk = Walk { network, keys, operation: Operation::Scan, kind: Kind::Event, tag: SCAN };
        let (items, next) = walk.page(request.cursor.as_ref(), request.limit.get()).await?;
        Ok(Page { items, next })
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        let (event, limit) = (event.clone(), limit.get());
        self.remove(Operation::RemoveEvent, move |store| store.some_of_event(event, limit)).await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let (user, limit) = (user.clone(), limit.get());
        self.remove(Operation::RemoveUser, move |store| store.some_of_user(user, limit)).await
    }

    /// Every primary must take a write, and every slot of a cluster have one.
    async fn ready(&self) -> Result<()> {
        let operation = Operation::Ready;
        let permit = self.permit(operation)?;
        let topology = self.network().topology();
        let probe = |node| {
            let mut probes = (0..u32::MAX).map(|number| self.keys().probe(number));
            probes.find(|key| topology.node_of(key.slot).is_some_and(|own| Arc::ptr_eq(own, node)))
        };
        let unit = |key: Key| {
            let add = cmd("SADD").arg(&key.name).arg("1").to_owned();
            Unit::write(key.slot, vec![add, cmd("DEL").arg(&key.name).to_owned()])
        };
        let units: Vec<Unit> = topology.nodes.iter().filter_map(probe).map(unit).collect();
        if !topology.is_complete() || units.is_empty() {
            // Another look may help the next time.
            let _ = self.network().refresh(operation, Duration::ZERO, &[]).await;
            return Err(Failure::NotServed.into_error(operation));
        }
        let store = self.clone();
        self.to_the_end(operation, async move {
            let _permit = permit;
            all(operation, store.network().run(operation, units).await).map(drop)
        })
        .await
    }
}
