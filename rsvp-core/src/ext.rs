//! The verbs that everyone calls.

use std::future::Future;

use futures_util::stream::BoxStream;

use crate::{
    BatchReceipt, CoalesceConfig, CoalescedStore, Consistency, Count, CountCache, CountCacheConfig,
    Error, EventId, LimitConfig, LimitStore, ObservedStore, Operation, PageLimit, PageRequest,
    Receipt, Removal, RemovalStep, Result, RetryConfig, RetryStore, Rsvp, RsvpStore, TimeoutConfig,
    TimeoutStore, UserId, Write, listing,
};

/// What one does with a store; every [`RsvpStore`] has it, `dyn RsvpStore` included.
///
/// All futures are [`Send`]. Single calls are batches of one: whoever has many should call
/// [`write_batch`](RsvpStore::write_batch), [`has_rsvped_batch`](RsvpStore::has_rsvped_batch) and
/// [`rsvp_counts`](RsvpStore::rsvp_counts).
///
/// ```
/// use rsvp_core::{EventId, Outcome, Result, RsvpStore, RsvpStoreExt, UserId};
///
/// async fn buy(store: &dyn RsvpStore, user: &UserId, event: &EventId) -> Result<u64> {
///     let receipt = store.rsvp(user, event).await?;
///     if receipt.outcome == Outcome::Unchanged {
///         // They were coming already.
///     }
///     Ok(store.rsvp_count(event).await?.value)
/// }
/// ```
///
/// # Wrappers, and their order
///
/// A wrapper is a store around a store, so they compose in one expression, from the inside out:
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::{
///     CoalesceConfig, CountCacheConfig, Result, RetryConfig, RsvpStore, RsvpStoreExt, TimeoutConfig,
/// };
///
/// fn wrapped(backend: impl RsvpStore + 'static) -> Result<impl RsvpStore> {
///     backend
///         .observed("postgres")?
///         .timed(TimeoutConfig::new(Duration::from_secs(1))?)
///         .retried(RetryConfig::default())
///         .coalesced(CoalesceConfig::default())
///         .count_cached(CountCacheConfig::default())
///         .observed("tickets")
/// }
/// ```
///
/// 1. [`observed`](Self::observed) inside shows what the backend is asked: every try, every batch.
/// 2. [`timed`](Self::timed) inside of `retried`: each try ends in time, and a call that hangs is
///    tried again. Around it the limit would be that of all tries.
/// 3. [`retried`](Self::retried) inside of `coalesced`: a batch is repeated once for all its callers
///    and keeps its turn. Outside, a write that is repeated would come after later writes of its
///    pair, and what was refused for overload would come back at once.
/// 4. [`ShardedStore`](crate::ShardedStore) around shards of which each has all of the above, and
///    `coalesced` too: then a shard that is down or slow fails or delays its own batches only.
///    Coalesced or retried as one, every batch that has anything for it fails, and what other shards
///    have applied is repeated, which answers `Unchanged`.
/// 5. [`limited`](Self::limited) around a store that has no bound of its own; `coalesced` has one.
/// 6. [`coalesced`](Self::coalesced) inside of `count_cached`: an answer from memory need not queue.
/// 7. [`count_cached`](Self::count_cached) outside of everything that changes counts, since it sees
///    only what is written through it.
/// 8. [`observed`](Self::observed) outside shows what callers see.
///
/// Wrappers that wait need a Tokio runtime with timers, such as `#[tokio::main]` makes; Tokio panics
/// without.
pub trait RsvpStoreExt: RsvpStore {
    /// `user` is coming to `event`.
    ///
    /// Fine if they were already: [`Outcome::Unchanged`](crate::Outcome::Unchanged).
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn rsvp(&self, user: &UserId, event: &EventId) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::rsvp(user.clone(), event.clone()))
    }

    /// `user` is not coming to `event`.
    ///
    /// Fine if they never were: [`Outcome::Unchanged`](crate::Outcome::Unchanged).
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn cancel(
        &self,
        user: &UserId,
        event: &EventId,
    ) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::cancel(user.clone(), event.clone()))
    }

    /// Whether `user` is coming to `event`, at [`Consistency::Strong`].
    ///
    /// # Errors
    ///
    /// As [`has_rsvped_batch`](RsvpStore::has_rsvped_batch).
    fn has_rsvped(
        &self,
        user: &UserId,
        event: &EventId,
    ) -> impl Future<Output = Result<bool>> + Send {
        async { self.has_rsvped_with(user, event, &Consistency::Strong).await }
    }

    /// Whether `user` is coming to `event`, as fresh as `consistency` says.
    ///
    /// # Errors
    ///
    /// As [`has_rsvped_batch`](RsvpStore::has_rsvped_batch).
    fn has_rsvped_with(
        &self,
        user: &UserId,
        event: &EventId,
        consistency: &Consistency,
    ) -> impl Future<Output = Result<bool>> + Send {
        let pair = Rsvp::new(user.clone(), event.clone());
        async move {
            let answers = self.has_rsvped_batch(&[pair], consistency).await?;
            only(Operation::HasRsvped, answers)
        }
    }

    /// How many are coming to `event`, at most 5 seconds old
    /// ([`Consistency::DEFAULT_COUNT_BOUND`]).
    ///
    /// # Errors
    ///
    /// As [`rsvp_counts`](RsvpStore::rsvp_counts).
    fn rsvp_count(&self, event: &EventId) -> impl Future<Output = Result<Count>> + Send {
        async {
            let bounded = Consistency::Bounded(Consistency::DEFAULT_COUNT_BOUND);
            self.rsvp_count_with(event, &bounded).await
        }
    }

    /// How many are coming to `event`, as fresh as `consistency` says.
    ///
    /// # Errors
    ///
    /// As [`rsvp_counts`](RsvpStore::rsvp_counts).
    fn rsvp_count_with(
        &self,
        event: &EventId,
        consistency: &Consistency,
    ) -> impl Future<Output = Result<Count>> + Send {
        async {
            let counts = self.rsvp_counts(std::slice::from_ref(event), consistency).await?;
            only(Operation::RsvpCounts, counts)
        }
    }

    /// Everyone who is coming to `event`, read page by page at [`Consistency::Strong`].
    ///
    /// After an error the stream ends. For another consistency or page size see
    /// [`attendees_with`](Self::attendees_with); to go on after an error, or to hand the list on
    /// page by page, [`attendees_page`](RsvpStore::attendees_page).
    fn attendees<'a>(&'a self, event: &'a EventId) -> BoxStream<'a, Result<UserId>> {
        self.attendees_with(event, PageRequest::default())
    }

    /// Everyone who is coming to `event`, beginning with the requested page; the following ones
    /// have its limit and consistency.
    fn attendees_with<'a>(
        &'a self,
        event: &'a EventId,
        request: PageRequest,
    ) -> BoxStream<'a, Result<UserId>> {
        listing::pages(request, move |request| async move {
            let page = self.attendees_page(event, &request).await;
            (request, page)
        })
    }

    /// Everything that `user` is coming to, as [`attendees`](Self::attendees).
    fn events_of<'a>(&'a self, user: &'a UserId) -> BoxStream<'a, Result<EventId>> {
        self.events_of_with(user, PageRequest::default())
    }

    /// Everything that `user` is coming to, as [`attendees_with`](Self::attendees_with).
    fn events_of_with<'a>(
        &'a self,
        user: &'a UserId,
        request: PageRequest,
    ) -> BoxStream<'a, Result<EventId>> {
        listing::pages(request, move |request| async move {
            let page = self.events_of_page(user, &request).await;
            (request, page)
        })
    }

    /// Every RSVP of the store, as [`attendees`](Self::attendees).
    fn scan(&self) -> BoxStream<'_, Result<Rsvp>> {
        self.scan_with(PageRequest::default())
    }

    /// Every RSVP of the store, as [`attendees_with`](Self::attendees_with).
    fn scan_with(&self, request: PageRequest) -> BoxStream<'_, Result<Rsvp>> {
        listing::pages(request, move |request| async move {
            let page = self.scan_page(&request).await;
            (request, page)
        })
    }

    /// Removes every RSVP of `event`, step by step.
    ///
    /// After an error or a crash call it again: it goes on where it stopped, and returns what
    /// was left to remove. (What the failed call had removed by then is not told.)
    ///
    /// # Errors
    ///
    /// As [`remove_event_step`](RsvpStore::remove_event_step).
    fn remove_event(&self, event: &EventId) -> impl Future<Output = Result<Removal>> + Send {
        async {
            let mut removal = Removal::default();
            while removal.take(self.remove_event_step(event, PageLimit::default()).await?) {}
            Ok(removal)
        }
    }

    /// Removes every RSVP of `user`, as [`remove_event`](Self::remove_event).
    ///
    /// # Errors
    ///
    /// As [`remove_user_step`](RsvpStore::remove_user_step).
    fn remove_user(&self, user: &UserId) -> impl Future<Output = Result<Removal>> + Send {
        async {
            let mut removal = Removal::default();
            while removal.take(self.remove_user_step(user, PageLimit::default()).await?) {}
            Ok(removal)
        }
    }

    /// Makes few large batches out of many small calls: see [`CoalescedStore`].
    fn coalesced(self, config: CoalesceConfig) -> CoalescedStore<Self>
    where
        Self: Sized + 'static,
    {
        CoalescedStore::new(self, config)
    }

    /// Answers counts from memory where they may be older: see [`CountCache`].
    fn count_cached(self, config: CountCacheConfig) -> CountCache<Self>
    where
        Self: Sized,
    {
        CountCache::new(self, config)
    }

    /// Tries again what fails and is worth it: see [`RetryStore`].
    fn retried(self, config: RetryConfig) -> RetryStore<Self>
    where
        Self: Sized,
    {
        RetryStore::new(self, config)
    }

    /// Ends every call in time: see [`TimeoutStore`].
    fn timed(self, config: TimeoutConfig) -> TimeoutStore<Self>
    where
        Self: Sized,
    {
        TimeoutStore::new(self, config)
    }

    /// Bounds what goes on at once: see [`LimitStore`].
    fn limited(self, config: LimitConfig) -> LimitStore<Self>
    where
        Self: Sized,
    {
        LimitStore::new(self, config)
    }

    /// Counts, times and traces every call under a name: see [`ObservedStore`].
    ///
    /// # Errors
    ///
    /// As [`ObservedStore::new`].
    fn observed(self, name: &str) -> Result<ObservedStore<Self>>
    where
        Self: Sized,
    {
        ObservedStore::new(self, name)
    }
}

impl<S: RsvpStore + ?Sized> RsvpStoreExt for S {}

async fn write_one<S: RsvpStore + ?Sized>(store: &S, write: Write) -> Result<Receipt> {
    let BatchReceipt { outcomes, token } = store.write_batch(&[write]).await?;
    Ok(Receipt { outcome: only(Operation::Write, outcomes)?, token })
}

/// The one answer to a batch of one.
fn only<T>(operation: Operation, answers: Vec<T>) -> Result<T> {
    match <[T; 1]>::try_from(answers) {
        Ok([answer]) => Ok(answer),
        Err(answers) => {
            let what = format!("{} answers to one question", answers.len());
            Err(Error::corrupt(operation, what))
        }
    }
}

impl Removal {
    /// Adds a step, and tells whether another one is needed.
    fn take(&mut self, step: RemovalStep) -> bool {
        let RemovalStep { removed, more, token } = step;
        self.removed = self.removed.saturating_add(removed);
        self.token.merge(&token);
        more
    }
}
