//! One way through a layer that treats every call alike.

/// Implements [`RsvpStore`](crate::RsvpStore) for a layer around `self.store`, each call by its
/// method
///
/// ```text
/// async fn intercept<T, F>(
///     &self,
///     operation: Operation,
///     entries: usize,
///     call: impl Fn() -> F,
/// ) -> Result<T>
/// ```
///
/// where every call of `call` is one of the store inside, and `entries` is the length of the batch
/// or the limit of the page or the step.
macro_rules! intercept_every_call {
    ($layer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: RsvpStore> RsvpStore for $layer<S> {
            async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
                let call = || self.store.write_batch(writes);
                self.intercept(Operation::Write, writes.len(), call).await
            }

            async fn has_rsvped_batch(
                &self,
                pairs: &[Rsvp],
                consistency: &Consistency,
            ) -> Result<Vec<bool>> {
                let call = || self.store.has_rsvped_batch(pairs, consistency);
                self.intercept(Operation::HasRsvped, pairs.len(), call).await
            }

            async fn rsvp_counts(
                &self,
                events: &[EventId],
                consistency: &Consistency,
            ) -> Result<Vec<Count>> {
                let call = || self.store.rsvp_counts(events, consistency);
                self.intercept(Operation::RsvpCounts, events.len(), call).await
            }

            async fn attendees_page(
                &self,
                event: &EventId,
                request: &PageRequest,
            ) -> Result<Page<UserId>> {
                let call = || self.store.attendees_page(event, request);
                self.intercept(Operation::Attendees, request.limit.get(), call).await
            }

            async fn events_of_page(
                &self,
                user: &UserId,
                request: &PageRequest,
            ) -> Result<Page<EventId>> {
                let call = || self.store.events_of_page(user, request);
                self.intercept(Operation::EventsOf, request.limit.get(), call).await
            }

            async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
                let call = || self.store.scan_page(request);
                self.intercept(Operation::Scan, request.limit.get(), call).await
            }

            async fn remove_event_step(
                &self,
                event: &EventId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                let call = || self.store.remove_event_step(event, limit);
                self.intercept(Operation::RemoveEvent, limit.get(), call).await
            }

            async fn remove_user_step(
                &self,
                user: &UserId,
                limit: PageLimit,
            ) -> Result<RemovalStep> {
                let call = || self.store.remove_user_step(user, limit);
                self.intercept(Operation::RemoveUser, limit.get(), call).await
            }

            async fn ready(&self) -> Result<()> {
                self.intercept(Operation::Ready, 0, || self.store.ready()).await
            }
        }
    };
}
pub(crate) use intercept_every_call;
