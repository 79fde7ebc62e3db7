//! A pointer to a store is a store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, WriteOptions,
};

/// Forwards every call to the store behind the pointer.
///
/// The signatures are written out as `async_trait` makes them.
/// The pointer then returns the store's own future.
/// An `async fn` here would allocate one more box for each call.
macro_rules! pointer {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: RsvpStore + ?Sized> RsvpStore for $pointer {
            fn write_batch<'s, 'a, 'b, 'f>(
                &'s self,
                writes: &'a [Write],
                options: &'b WriteOptions,
            ) -> BoxFuture<'f, Result<BatchReceipt>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).write_batch(writes, options)
            }

            fn has_rsvped_batch<'s, 'a, 'b, 'f>(
                &'s self,
                pairs: &'a [Rsvp],
                options: &'b ReadOptions,
            ) -> BoxFuture<'f, Result<Vec<Result<bool>>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).has_rsvped_batch(pairs, options)
            }

            fn rsvp_count_batch<'s, 'a, 'b, 'f>(
                &'s self,
                events: &'a [EventId],
                options: &'b ReadOptions,
            ) -> BoxFuture<'f, Result<Vec<Result<Count>>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).rsvp_count_batch(events, options)
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

            fn remove_event_step<'s, 'a, 'b, 'f>(
                &'s self,
                event: &'a EventId,
                limit: PageLimit,
                options: &'b WriteOptions,
            ) -> BoxFuture<'f, Result<RemovalStep>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).remove_event_step(event, limit, options)
            }

            fn remove_user_step<'s, 'a, 'b, 'f>(
                &'s self,
                user: &'a UserId,
                limit: PageLimit,
                options: &'b WriteOptions,
            ) -> BoxFuture<'f, Result<RemovalStep>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).remove_user_step(user, limit, options)
            }

            fn label<'s, 'a, 'b, 'f>(
                &'s self,
                name: &'a LabelName,
                options: &'b ReadOptions,
            ) -> BoxFuture<'f, Result<Option<Label>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
            {
                (**self).label(name, options)
            }

            fn replace_label<'s, 'a, 'b, 'c, 'd, 'f>(
                &'s self,
                name: &'a LabelName,
                expected: Option<&'b Label>,
                value: &'c Label,
                options: &'d WriteOptions,
            ) -> BoxFuture<'f, Result<Option<Label>>>
            where
                Self: 'f,
                's: 'f,
                'a: 'f,
                'b: 'f,
                'c: 'f,
                'd: 'f,
            {
                (**self).replace_label(name, expected, value, options)
            }

            fn ready<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
            where
                Self: 'f,
                's: 'f,
            {
                (**self).ready()
            }

            fn health<'s, 'f>(&'s self) -> BoxFuture<'f, Health>
            where
                Self: 'f,
                's: 'f,
            {
                (**self).health()
            }

            fn close<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
            where
                Self: 'f,
                's: 'f,
            {
                (**self).close()
            }

            fn settling_time(&self) -> Duration {
                (**self).settling_time()
            }

            fn maintenance(&self) -> Option<&dyn Maintenance> {
                (**self).maintenance()
            }
        }
    };
}

pointer!(&S);
pointer!(Box<S>);
pointer!(Arc<S>);
