//! The verbs of a store.

use std::borrow::Borrow;
use std::future::Future;

use futures_util::stream::BoxStream;

use super::stream::pages;
use crate::{
    Count, Error, EventId, Operation, PageLimit, PageRequest, ReadOptions, Receipt, Removal,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, WriteOptions,
};

/// The calls of a host on a store. Every [`RsvpStore`] has them, `dyn RsvpStore` included.
///
/// All futures are [`Send`]. A single call is a batch of one.
/// For many entries call [`write_batch`](RsvpStore::write_batch),
/// [`has_rsvped_batch`](RsvpStore::has_rsvped_batch)
/// and [`rsvp_count_batch`](RsvpStore::rsvp_count_batch).
///
/// ```
/// use rsvp_core::{EventId, Outcome, Result, RsvpStore, RsvpStoreExt, UserId};
///
/// async fn buy(store: &dyn RsvpStore, user: &UserId, event: &EventId) -> Result<u64> {
///     let receipt = store.rsvp(user, event).await?;
///     if receipt.outcome == Outcome::Unchanged {
///         // The user had this RSVP already.
///     }
///     Ok(store.rsvp_count(event).await?.value)
/// }
/// ```
pub trait RsvpStoreExt: RsvpStore {
    /// Records that `user` is coming to `event`.
    ///
    /// A repeated call answers [`Outcome::Unchanged`](crate::Outcome::Unchanged).
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn rsvp(&self, user: &UserId, event: &EventId) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::rsvp(user.clone(), event.clone()), &WriteOptions::DEFAULT)
    }

    /// Records that `user` is coming to `event`, with options such as a deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rsvp_core::{EventId, Result, RsvpStoreExt, UserId, WriteOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let store = rsvp_memory::MemoryStore::new();
    /// let options = WriteOptions::default().with_timeout(Duration::from_millis(150));
    /// store.rsvp_with(&UserId::from(1), &EventId::from(2), options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn rsvp_with(
        &self,
        user: &UserId,
        event: &EventId,
        options: WriteOptions,
    ) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::rsvp(user.clone(), event.clone()), options)
    }

    /// Records that `user` is not coming to `event`.
    ///
    /// A user without an RSVP gets [`Outcome::Unchanged`](crate::Outcome::Unchanged).
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn cancel(
        &self,
        user: &UserId,
        event: &EventId,
    ) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::cancel(user.clone(), event.clone()), &WriteOptions::DEFAULT)
    }

    /// Records that `user` is not coming to `event`, with options such as a deadline.
    ///
    /// # Errors
    ///
    /// As [`write_batch`](RsvpStore::write_batch).
    fn cancel_with(
        &self,
        user: &UserId,
        event: &EventId,
        options: WriteOptions,
    ) -> impl Future<Output = Result<Receipt>> + Send {
        write_one(self, Write::cancel(user.clone(), event.clone()), options)
    }

    /// Returns whether `user` is coming to `event`,
    /// at [`Consistency::Strong`](crate::Consistency::Strong).
    ///
    /// # Errors
    ///
    /// As [`has_rsvped_batch`](RsvpStore::has_rsvped_batch).
    fn has_rsvped(
        &self,
        user: &UserId,
        event: &EventId,
    ) -> impl Future<Output = Result<bool>> + Send {
        has_one(self, Rsvp::new(user.clone(), event.clone()), &ReadOptions::STRONG)
    }

    /// Returns whether `user` is coming to `event`, with options such as the consistency.
    ///
    /// # Errors
    ///
    /// As [`has_rsvped_batch`](RsvpStore::has_rsvped_batch).
    fn has_rsvped_with(
        &self,
        user: &UserId,
        event: &EventId,
        options: impl Into<ReadOptions>,
    ) -> impl Future<Output = Result<bool>> + Send {
        has_one(self, Rsvp::new(user.clone(), event.clone()), options.into())
    }

    /// Returns the number of RSVPs of `event`, at most 5 seconds old
    /// ([`Consistency::DEFAULT_COUNT_BOUND`](crate::Consistency::DEFAULT_COUNT_BOUND)).
    ///
    /// # Errors
    ///
    /// As [`rsvp_count_batch`](RsvpStore::rsvp_count_batch).
    fn rsvp_count(&self, event: &EventId) -> impl Future<Output = Result<Count>> + Send {
        count_one(self, event, &ReadOptions::DEFAULT_COUNT)
    }

    /// Returns the number of RSVPs of `event`, with options such as the consistency.
    ///
    /// ```
    /// use rsvp_core::{Consistency, EventId, Result, RsvpStoreExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let store = rsvp_memory::MemoryStore::new();
    /// // An exact count, for the organiser of the event.
    /// let count = store.rsvp_count_with(&EventId::from(2), Consistency::Strong).await?;
    /// assert_eq!(count.value, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`rsvp_count_batch`](RsvpStore::rsvp_count_batch).
    fn rsvp_count_with(
        &self,
        event: &EventId,
        options: impl Into<ReadOptions>,
    ) -> impl Future<Output = Result<Count>> + Send {
        count_one(self, event, options.into())
    }

    /// Streams the users with an RSVP to `event`, page by page,
    /// at [`Consistency::Strong`](crate::Consistency::Strong).
    ///
    /// The stream ends after an error.
    /// [`attendees_with`](Self::attendees_with) takes another consistency or page size.
    /// [`attendees_page`](RsvpStore::attendees_page) reads one page, so that a host can go on
    /// after an error or pass the list on page by page.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use rsvp_core::{EventId, Result, RsvpStoreExt, UserId};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let store = rsvp_memory::MemoryStore::new();
    /// let fair = EventId::new("fair")?;
    /// store.rsvp(&UserId::new("ann")?, &fair).await?;
    /// let mut attendees = store.attendees(&fair);
    /// while let Some(user) = attendees.try_next().await? {
    ///     println!("{user} is coming");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn attendees<'a>(&'a self, event: &'a EventId) -> BoxStream<'a, Result<UserId>> {
        self.attendees_with(event, PageRequest::default())
    }

    /// Streams the users with an RSVP to `event`, beginning with the requested page.
    /// The following pages have its limit and consistency.
    fn attendees_with<'a>(
        &'a self,
        event: &'a EventId,
        request: PageRequest,
    ) -> BoxStream<'a, Result<UserId>> {
        pages(request, move |request| async move {
            let page = self.attendees_page(event, &request).await;
            (request, page)
        })
    }

    /// Streams the events that `user` is coming to, as [`attendees`](Self::attendees).
    fn events_of<'a>(&'a self, user: &'a UserId) -> BoxStream<'a, Result<EventId>> {
        self.events_of_with(user, PageRequest::default())
    }

    /// Streams the events that `user` is coming to, as [`attendees_with`](Self::attendees_with).
    fn events_of_with<'a>(
        &'a self,
        user: &'a UserId,
        request: PageRequest,
    ) -> BoxStream<'a, Result<EventId>> {
        pages(request, move |request| async move {
            let page = self.events_of_page(user, &request).await;
            (request, page)
        })
    }

    /// Streams every RSVP of the store, as [`attendees`](Self::attendees).
    fn scan(&self) -> BoxStream<'_, Result<Rsvp>> {
        self.scan_with(PageRequest::default())
    }

    /// Streams every RSVP of the store, as [`attendees_with`](Self::attendees_with).
    fn scan_with(&self, request: PageRequest) -> BoxStream<'_, Result<Rsvp>> {
        pages(request, move |request| async move {
            let page = self.scan_page(&request).await;
            (request, page)
        })
    }

    /// Removes every RSVP of `event`, step by step.
    ///
    /// Call it again after an error or a crash.
    /// It goes on from the last finished step, and returns the number
    /// of RSVPs removed by the new call alone.
    ///
    /// ```
    /// use rsvp_core::{EventId, Result, RsvpStoreExt, UserId};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let store = rsvp_memory::MemoryStore::new();
    /// let event = EventId::from(2);
    /// store.rsvp(&UserId::from(1), &event).await?;
    /// assert_eq!(store.remove_event(&event).await?.removed, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`remove_event_step`](RsvpStore::remove_event_step).
    fn remove_event(&self, event: &EventId) -> impl Future<Output = Result<Removal>> + Send {
        self.remove_event_with(event, WriteOptions::default())
    }

    /// Removes every RSVP of `event`, with options. All steps together have one deadline.
    ///
    /// # Errors
    ///
    /// As [`remove_event_step`](RsvpStore::remove_event_step).
    fn remove_event_with(
        &self,
        event: &EventId,
        options: WriteOptions,
    ) -> impl Future<Output = Result<Removal>> + Send {
        async move {
            let (mut removal, limit) = (Removal::default(), PageLimit::default());
            while removal.take(self.remove_event_step(event, limit, &options).await?) {}
            Ok(removal)
        }
    }

    /// Removes every RSVP of `user`, as [`remove_event`](Self::remove_event).
    ///
    /// # Errors
    ///
    /// As [`remove_user_step`](RsvpStore::remove_user_step).
    fn remove_user(&self, user: &UserId) -> impl Future<Output = Result<Removal>> + Send {
        self.remove_user_with(user, WriteOptions::default())
    }

    /// Removes every RSVP of `user`, as [`remove_event_with`](Self::remove_event_with).
    ///
    /// # Errors
    ///
    /// As [`remove_user_step`](RsvpStore::remove_user_step).
    fn remove_user_with(
        &self,
        user: &UserId,
        options: WriteOptions,
    ) -> impl Future<Output = Result<Removal>> + Send {
        async move {
            let (mut removal, limit) = (Removal::default(), PageLimit::default());
            while removal.take(self.remove_user_step(user, limit, &options).await?) {}
            Ok(removal)
        }
    }
}

impl<S: RsvpStore + ?Sized> RsvpStoreExt for S {}

// Default options are borrowed and not copied into the future of every call.

async fn write_one<S: RsvpStore + ?Sized>(
    store: &S,
    write: Write,
    options: impl Borrow<WriteOptions> + Send,
) -> Result<Receipt> {
    let answer = store.write_batch(std::slice::from_ref(&write), options.borrow()).await?;
    Ok(Receipt::new(only(Operation::Write, answer.results)?, answer.token))
}

async fn has_one<S: RsvpStore + ?Sized>(
    store: &S,
    pair: Rsvp,
    options: impl Borrow<ReadOptions> + Send,
) -> Result<bool> {
    let answers = store.has_rsvped_batch(std::slice::from_ref(&pair), options.borrow()).await?;
    only(Operation::HasRsvped, answers)
}

async fn count_one<S: RsvpStore + ?Sized>(
    store: &S,
    event: &EventId,
    options: impl Borrow<ReadOptions> + Send,
) -> Result<Count> {
    let counts = store.rsvp_count_batch(std::slice::from_ref(event), options.borrow()).await?;
    only(Operation::RsvpCount, counts)
}

/// Returns the one answer to a batch of one.
fn only<T>(operation: Operation, mut answers: Vec<Result<T>>) -> Result<T> {
    match (answers.len(), answers.pop()) {
        (1, Some(answer)) => answer,
        (given, _) => Err(Error::corrupt(operation, format!("{given} answers to one entry"))),
    }
}

impl Removal {
    /// Adds a step, and returns whether another one is needed.
    fn take(&mut self, step: RemovalStep) -> bool {
        let RemovalStep { removed, more, repeated, token } = step;
        self.repeated |= repeated;
        self.removed = self.removed.saturating_add(removed);
        self.token.merge(&token);
        more
    }
}
