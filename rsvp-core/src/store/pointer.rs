//! A pointer to a store is a store.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, RsvpStore, UserId, Write,
};

/// Hands every call on. The signatures are those that `async_trait` makes, written out so that the
/// future is the store's own: with `async fn` each pointer would put it into one more box.
macro_rules! pointer {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: RsvpStore + ?Sized> RsvpStore for $pointer {
            fn write_batch<'s, 'a, 'f>(
                &'s self,
                writes: &'a [Write],
            ) -> BoxFuture<'f, Result<BatchReceipt>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
            {
                (**self).write_batch(writes)
            }

            fn has_rsvped_batch<'s, 'a, 'b, 'f>(
                &'s self,
                pairs: &'a [Rsvp],
                consistency: &'b Consistency,
            ) -> BoxFuture<'f, Result<Vec<bool>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).has_rsvped_batch(pairs, consistency)
            }

            fn rsvp_counts<'s, 'a, 'b, 'f>(
                &'s self,
                events: &'a [EventId],
                consistency: &'b Consistency,
            ) -> BoxFuture<'f, Result<Vec<Count>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).rsvp_counts(events, consistency)
            }

            fn attendees_page<'s, 'a, 'b, 'f>(
                &'s self,
                event: &'a EventId,
                request: &'b PageRequest,
            ) -> BoxFuture<'f, Result<Page<UserId>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).attendees_page(event, request)
            }

            fn events_of_page<'s, 'a, 'b, 'f>(
                &'s self,
                user: &'a UserId,
                request: &'b PageRequest,
            ) -> BoxFuture<'f, Result<Page<EventId>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).events_of_page(user, request)
            }

            fn scan_page<'s, 'a, 'f>(
                &'s self,
                request: &'a PageRequest,
            ) -> BoxFuture<'f, Result<Page<Rsvp>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
            {
                (**self).scan_page(request)
            }

            fn remove_event_step<'s, 'a, 'f>(
                &'s self,
                event: &'a EventId,
                limit: PageLimit,
            ) -> BoxFuture<'f, Result<RemovalStep>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
            {
                (**self).remove_event_step(event, limit)
            }

            fn remove_user_step<'s, 'a, 'f>(
                &'s self,
                user: &'a UserId,
                limit: PageLimit,
            ) -> BoxFuture<'f, Result<RemovalStep>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
            {
                (**self).remove_user_step(user, limit)
            }

            fn ready<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
            where
                Self: 'f,
                's: 'f,
            {
                (**self).ready()
            }
        }
    };
}

pointer!(&S);
pointer!(Box<S>);
pointer!(Arc<S>);
