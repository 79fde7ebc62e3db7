//! A backend of your own, opened by URL with layers.
//!
//! ```text
//! cargo run --example custom_backend
//! cargo test --example custom_backend   # the conformance suite
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp::backend::{Admission, LabelMap, keyset_page};
use rsvp::{url::StoreUrl, *};

/// Keeps RSVPs in one sorted set.
#[derive(Default)]
struct SortedStore {
    rsvps: Mutex<BTreeSet<Rsvp>>,
    labels: LabelMap,
    /// Refuses calls past their deadline, and calls of a closed store.
    admission: Admission,
}

type Answers<T> = Result<Vec<Result<T>>>;

impl SortedStore {
    fn begin(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
    ) -> Result<MutexGuard<'_, BTreeSet<Rsvp>>> {
        self.admission.check(operation, deadline)?;
        Ok(self.rsvps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A page of the pairs that `item` takes. The cursor belongs to this listing of this subject.
    fn page<T>(
        &self,
        (operation, tag, subject): (Operation, u8, &str),
        request: &PageRequest,
        item: impl Fn(&Rsvp) -> Option<T>,
    ) -> Result<Page<T>> {
        let rsvps = self.begin(operation, request.options.deadline)?;
        let items = rsvps
            .iter()
            .filter_map(|pair| Some(([pair.user.as_str(), pair.event.as_str()], item(pair)?)));
        keyset_page((tag, subject), request, items)
    }

    fn remove(
        &self,
        (operation, deadline): (Operation, Option<Deadline>),
        limit: PageLimit,
        goes: impl Fn(&Rsvp) -> bool,
    ) -> Result<RemovalStep> {
        let mut rsvps = self.begin(operation, deadline)?;
        let going = rsvps.iter().filter(|pair| goes(pair)).take(limit.get()).cloned();
        let going: BTreeSet<_> = going.collect();
        rsvps.retain(|pair| !going.contains(pair));
        let more = rsvps.iter().any(goes);
        Ok(RemovalStep::new(going.len() as u64, more, SessionToken::new()))
    }
}

/// Logs show no ids.
impl std::fmt::Debug for SortedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SortedStore")
    }
}

#[async_trait]
impl RsvpStore for SortedStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut rsvps = self.begin(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|Write { action, rsvp, .. }| match action {
            Action::Rsvp => Outcome::from_changed(rsvps.insert(rsvp.clone())),
            Action::Cancel => Outcome::from_changed(rsvps.remove(rsvp)),
        });
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], o: &ReadOptions) -> Answers<bool> {
        let rsvps = self.begin(Operation::HasRsvped, o.deadline)?;
        Ok(pairs.iter().map(|pair| Ok(rsvps.contains(pair))).collect())
    }

    async fn rsvp_count_batch(&self, events: &[EventId], o: &ReadOptions) -> Answers<Count> {
        let rsvps = self.begin(Operation::RsvpCount, o.deadline)?;
        let count =
            |event: &EventId| rsvps.iter().filter(|pair| pair.event == *event).count() as u64;
        Ok(events.iter().map(|event| Ok(Count::fresh(count(event)))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let listing = (Operation::Attendees, b'u', event.as_str());
        self.page(listing, request, |pair| (pair.event == *event).then(|| pair.user.clone()))
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let listing = (Operation::EventsOf, b'e', user.as_str());
        self.page(listing, request, |pair| (pair.user == *user).then(|| pair.event.clone()))
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.page((Operation::Scan, b's', ""), request, |pair| Some(pair.clone()))
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let call = (Operation::RemoveEvent, options.deadline);
        self.remove(call, limit, |pair| pair.event == *event)
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let call = (Operation::RemoveUser, options.deadline);
        self.remove(call, limit, |pair| pair.user == *user)
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.admission.check(Operation::Label, options.deadline)?;
        Ok(self.labels.get(name))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.admission.check(Operation::ReplaceLabel, options.deadline)?;
        Ok(self.labels.replace(name, expected, value))
    }

    async fn ready(&self) -> Result<()> {
        self.admission.check(Operation::Ready, None)
    }

    async fn close(&self) -> Result<()> {
        self.admission.close();
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let registry = Registry::default().with_scheme("sorted", async |mut url: StoreUrl| {
        url.parameters_mut().finish()?;
        Ok(SortedStore::default())
    });
    let store = registry.open("sorted:?retry=2s&coalesce=true").await?;
    let (user, event) = (UserId::from(1), EventId::from(2));
    println!("rsvp = {:?}", store.rsvp(&user, &event).await?.outcome);
    println!("has_rsvped = {}", store.has_rsvped(&user, &event).await?);
    store.close().await
}

#[cfg(test)]
mod tests {
    use super::SortedStore;

    rsvp_testkit::conformance!(SortedStore::default(), except {
        a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
        an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
    });
}
