//! A backend of your own: a sorted set behind a lock, opened by URL.
//!
//! ```text
//! cargo run --example custom_backend
//! cargo test --example custom_backend   # the conformance suite
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp::backend::{Admission, LabelMap, keyset_page};
use rsvp::url::StoreUrl;
use rsvp::{
    Action, BatchReceipt, Count, Deadline, EventId, Label, LabelName, Operation, Outcome, Page,
    PageLimit, PageRequest, ReadOptions, Registry, RemovalStep, Result, Rsvp, RsvpStore,
    RsvpStoreExt, SessionToken, UserId, Write, WriteOptions, async_trait,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // The URL takes the parameters of layers, too.
    let store = registry().open("sorted:?count_cache=5s").await?;
    let (user, event) = (UserId::from(1), EventId::new("101a")?);
    let outcome = store.rsvp(&user, &event).await?.outcome;
    println!("rsvp({user}, {event}) = {outcome:?}");
    println!("rsvp_count({event}) = {}", store.rsvp_count(&event).await?.value);
    store.close().await
}

/// The schemes of `rsvp`, and `sorted:`.
fn registry() -> Registry {
    Registry::default().with_scheme("sorted", async |mut url: StoreUrl| {
        // A backend takes its own parameters first. `finish` refuses unknown ones.
        url.parameters_mut().finish()?;
        Ok(SortedStore::default())
    })
}

/// Keeps RSVPs in one set, sorted by user and event.
#[derive(Default)]
struct SortedStore {
    rsvps: Mutex<BTreeSet<Rsvp>>,
    labels: LabelMap,
    admission: Admission,
}

type Rsvps<'a> = MutexGuard<'a, BTreeSet<Rsvp>>;
type Counts = Result<Vec<Result<Count>>>;
type Step = Result<RemovalStep>;

impl SortedStore {
    fn begin(&self, operation: Operation, deadline: Option<Deadline>) -> Result<Rsvps<'_>> {
        self.admission.check(operation, deadline)?;
        Ok(self.rsvps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A page of the pairs that `item` takes.
    fn page<T>(
        &self,
        (operation, tag, subject): (Operation, u8, &str),
        request: &PageRequest,
        item: impl Fn(&Rsvp) -> Option<T>,
    ) -> Result<Page<T>> {
        let rsvps = self.begin(operation, request.options.deadline)?;
        let items = rsvps.iter().filter_map(|pair| {
            let key = [pair.user.as_str(), pair.event.as_str()];
            Some((key, item(pair)?))
        });
        keyset_page((tag, subject), request, items)
    }
}

fn remove(mut rsvps: Rsvps<'_>, limit: PageLimit, goes: impl Fn(&Rsvp) -> bool) -> RemovalStep {
    let going = rsvps.iter().filter(|pair| goes(pair)).take(limit.get()).cloned();
    let going: BTreeSet<_> = going.collect();
    rsvps.retain(|pair| !going.contains(pair));
    RemovalStep::new(going.len() as u64, rsvps.iter().any(goes), SessionToken::new())
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

    async fn has_rsvped_batch(&self, all: &[Rsvp], o: &ReadOptions) -> Result<Vec<Result<bool>>> {
        let rsvps = self.begin(Operation::HasRsvped, o.deadline)?;
        Ok(all.iter().map(|pair| Ok(rsvps.contains(pair))).collect())
    }

    async fn rsvp_count_batch(&self, events: &[EventId], o: &ReadOptions) -> Counts {
        let rsvps = self.begin(Operation::RsvpCount, o.deadline)?;
        let mut counts = BTreeMap::<_, u64>::new();
        rsvps.iter().for_each(|pair| *counts.entry(&pair.event).or_default() += 1);
        Ok(events.iter().map(|event| Ok(Count::fresh(*counts.get(event).unwrap_or(&0)))).collect())
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

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit, o: &WriteOptions) -> Step {
        let rsvps = self.begin(Operation::RemoveEvent, o.deadline)?;
        Ok(remove(rsvps, limit, |pair| pair.event == *event))
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit, o: &WriteOptions) -> Step {
        let rsvps = self.begin(Operation::RemoveUser, o.deadline)?;
        Ok(remove(rsvps, limit, |pair| pair.user == *user))
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

// The suite of the library, with one test per sentence of the contract.
#[cfg(test)]
rsvp_testkit::conformance!(SortedStore::default(), except {
    a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
    an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
});
