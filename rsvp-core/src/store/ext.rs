//! The verbs that everyone calls.

use std::future::Future;

use futures_util::stream::BoxStream;

use super::stream::pages;
use crate::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, PageLimit, PageRequest, Receipt,
    Removal, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
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
        pages(request, move |request| async move {
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
        pages(request, move |request| async move {
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
        pages(request, move |request| async move {
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
