//! What wrappers that do the same around every call have in common.

/// Implements [`RsvpStore`](crate::RsvpStore) for a wrapper around `self.store`, each call by its
/// method
///
/// ```text
/// async fn around<T, F>(
///     &self,
///     operation: Operation,
///     entries: usize,
///     call: impl Fn() -> F,
/// ) -> Result<T>
/// ```
///
/// where every call of `call` is one of the store inside, and `entries` is the length of the batch
/// or the limit of the page or the step.
macro_rules! around_every_call {
    ($wrapper:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: RsvpStore> RsvpStore for $wrapper<S> {
            async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
                let call = || self.store.write_batch(writes);
                self.around(Operation::Write, writes.len(), call).await
            }

            async fn has_rsvped_batch(
                &self,
                pairs: &[Rsvp],
                consistency: &Consistency,
            ) -> Result<Vec<bool>> {
                let call = || self.store.has_rsvped_batch(pairs, consistency);
                self.around(Operation::HasRsvped, pairs.len(), call).await
            }

            async fn rsvp_counts(
                &self,
                events: &[EventId],
                consistency: &Consistency,
            ) -> Result<Vec<Count>> {
                let call = || self.store.rsvp_counts(events, consistency);
                self.around(Operation::RsvpCounts, events.len(), call).await
            }

            async fn attendees_page(
                &self,
                event: &EventId,
                request: &PageRequest,
            ) -> Result<Page<UserId>> {
                let call = || self.store.attendees_page(event, request);
                self.around(Operation::Attendees, request.limit.get(), call).await
            }

            async fn events_of_page(
                &self,
                user: &UserId,
                request: &PageRequest,
            ) -> Result<Page<EventId>> {
                let call = || self.store.events_of_page(user, request);
                self.around(Operation::EventsOf, request.limit.get(), call).await
            }

            async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
                let call = || self.store.scan_page(request);
                self.around(Operation::Scan, request.limit.get(), call).await
            }

            async fn remove_event_step(
                &self,
                event: &EventId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                let call = || self.store.remove_event_step(event, limit);
                self.around(Operation::RemoveEvent, limit.get(), call).await
            }

            async fn remove_user_step(
                &self,
                user: &UserId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                let call = || self.store.remove_user_step(user, limit);
                self.around(Operation::RemoveUser, limit.get(), call).await
            }

            async fn ready(&self) -> Result<()> {
                self.around(Operation::Ready, 0, || self.store.ready()).await
            }
        }
    };
}
pub(crate) use around_every_call;
