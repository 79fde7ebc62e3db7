//! A pointer to a store is a store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, RsvpStore, UserId, Write,
};

macro_rules! pointer {
    ($pointer:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: RsvpStore + ?Sized> RsvpStore for $pointer {
            async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
                (**self).write_batch(writes).await
            }

            async fn has_rsvped_batch(
                &self,
                pairs: &[Rsvp],
                consistency: &Consistency,
            ) -> Result<Vec<bool>> {
                (**self).has_rsvped_batch(pairs, consistency).await
            }

            async fn rsvp_counts(
                &self,
                events: &[EventId],
                consistency: &Consistency,
            ) -> Result<Vec<Count>> {
                (**self).rsvp_counts(events, consistency).await
            }

            async fn attendees_page(
                &self,
                event: &EventId,
                request: &PageRequest,
            ) -> Result<Page<UserId>> {
                (**self).attendees_page(event, request).await
            }

            async fn events_of_page(
                &self,
                user: &UserId,
                request: &PageRequest,
            ) -> Result<Page<EventId>> {
                (**self).events_of_page(user, request).await
            }

            async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
                (**self).scan_page(request).await
            }

            async fn remove_event_step(
                &self,
                event: &EventId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                (**self).remove_event_step(event, limit).await
            }

            async fn remove_user_step(
                &self,
                user: &UserId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                (**self).remove_user_step(user, limit).await
            }

            async fn ready(&self) -> Result<()> {
                (**self).ready().await
            }
        }
    };
}

pointer!(&S);
pointer!(Box<S>);
pointer!(Arc<S>);
