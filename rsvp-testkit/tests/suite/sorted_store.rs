//! A backend as somebody else would write it: sorted collections behind a mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use rsvp_core::backend::{Admission, LabelMap, keyset_page};
use rsvp_core::{
    Action, BatchReceipt, Count, Deadline, EventId, Label, LabelName, Operation, Outcome, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions, async_trait,
};

#[derive(Default)]
pub(crate) struct SortedStore {
    rsvps: Mutex<BTreeSet<Rsvp>>,
    labels: LabelMap,
    admission: Admission,
}

impl SortedStore {
    /// Begins a call, unless the store is closed or its deadline has passed.
    fn begin(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
    ) -> Result<MutexGuard<'_, BTreeSet<Rsvp>>> {
        self.admission.check(operation, deadline)?;
        Ok(self.rsvps.lock().unwrap())
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

    fn remove(
        mut rsvps: MutexGuard<'_, BTreeSet<Rsvp>>,
        limit: PageLimit,
        goes: impl Fn(&Rsvp) -> bool,
    ) -> RemovalStep {
        let mut going = rsvps.iter().filter(|rsvp| goes(rsvp)).cloned();
        let step: Vec<_> = going.by_ref().take(limit.get()).collect();
        let more = going.next().is_some();
        step.iter().for_each(|rsvp| {
            rsvps.remove(rsvp);
        });
        RemovalStep::new(step.len() as u64, more, SessionToken::new())
    }
}

impl fmt::Debug for SortedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortedStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl RsvpStore for SortedStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut rsvps = self.begin(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|write| {
            Outcome::from_changed(match write.action {
                Action::Rsvp => rsvps.insert(write.rsvp.clone()),
                Action::Cancel => rsvps.remove(&write.rsvp),
            })
        });
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let rsvps = self.begin(Operation::HasRsvped, options.deadline)?;
        Ok(pairs.iter().map(|pair| Ok(rsvps.contains(pair))).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let rsvps = self.begin(Operation::RsvpCount, options.deadline)?;
        let mut counts: BTreeMap<&EventId, u64> = events.iter().map(|event| (event, 0)).collect();
        for pair in rsvps.iter() {
            if let Some(count) = counts.get_mut(&pair.event) {
                *count += 1;
            }
        }
        Ok(events.iter().map(|event| Ok(Count::fresh(counts[event]))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.page((Operation::Attendees, b'u', event.as_str()), request, |rsvp| {
            (rsvp.event == *event).then(|| rsvp.user.clone())
        })
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page((Operation::EventsOf, b'e', user.as_str()), request, |rsvp| {
            (rsvp.user == *user).then(|| rsvp.event.clone())
        })
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.page((Operation::Scan, b's', ""), request, |rsvp| Some(rsvp.clone()))
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let rsvps = self.begin(Operation::RemoveEvent, options.deadline)?;
        Ok(Self::remove(rsvps, limit, |rsvp| rsvp.event == *event))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let rsvps = self.begin(Operation::RemoveUser, options.deadline)?;
        Ok(Self::remove(rsvps, limit, |rsvp| rsvp.user == *user))
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
