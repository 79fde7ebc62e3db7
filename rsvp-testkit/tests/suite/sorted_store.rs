//! A backend as somebody else would write it: sorted collections behind a mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{
    Action, BatchReceipt, Count, Deadline, Error, EventId, Label, LabelName, Operation, Outcome,
    Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions, async_trait,
};

#[derive(Default)]
pub(crate) struct SortedStore {
    data: Mutex<Data>,
}

#[derive(Default)]
struct Data {
    rsvps: BTreeSet<Rsvp>,
    labels: BTreeMap<LabelName, Label>,
    closed: bool,
}

impl SortedStore {
    /// Begins a call, unless the store is closed or nobody can use the answer any more.
    fn begin(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
    ) -> Result<MutexGuard<'_, Data>> {
        let data = self.data.lock().unwrap();
        if data.closed {
            return Err(Error::closed(operation));
        }
        match deadline {
            Some(deadline) if deadline.has_passed() => Err(Error::too_late(operation)),
            _ => Ok(data),
        }
    }

    /// The entries, by their keys in order, that come after the cursor. The cursor holds the last
    /// key of the page before, next to the listing's tag and subject.
    fn page<T>(
        &self,
        (operation, tag, subject): (Operation, u8, &str),
        request: &PageRequest,
        entry: impl Fn(&Rsvp) -> Option<(String, T)>,
    ) -> Result<Page<T>> {
        let data = self.begin(operation, request.options.deadline)?;
        let mut after = None;
        if let Some(mut cursor) = CursorReader::of(tag, subject, request)? {
            after = Some(cursor.text(1000)?);
            cursor.end()?;
        }
        let mut entries: Vec<_> = data.rsvps.iter().filter_map(entry).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.retain(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let more = entries.len() > request.limit.get();
        entries.truncate(request.limit.get());
        let last = entries.last().filter(|_| more);
        let next = last.map(|(key, _)| CursorWriter::new(tag, subject).text(key).finish());
        Ok(Page::new(entries.into_iter().map(|(_, item)| item).collect(), next))
    }

    fn remove(
        mut data: MutexGuard<'_, Data>,
        limit: PageLimit,
        goes: impl Fn(&Rsvp) -> bool,
    ) -> RemovalStep {
        let mut going = data.rsvps.iter().filter(|rsvp| goes(rsvp)).cloned();
        let step: Vec<_> = going.by_ref().take(limit.get()).collect();
        let more = going.next().is_some();
        step.iter().for_each(|rsvp| {
            data.rsvps.remove(rsvp);
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
        let mut data = self.begin(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|write| {
            Outcome::from_changed(match write.action {
                Action::Rsvp => data.rsvps.insert(write.rsvp.clone()),
                Action::Cancel => data.rsvps.remove(&write.rsvp),
            })
        });
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let data = self.begin(Operation::HasRsvped, options.deadline)?;
        Ok(pairs.iter().map(|pair| Ok(data.rsvps.contains(pair))).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let data = self.begin(Operation::RsvpCount, options.deadline)?;
        let mut counts: BTreeMap<&EventId, u64> = events.iter().map(|event| (event, 0)).collect();
        for pair in &data.rsvps {
            if let Some(count) = counts.get_mut(&pair.event) {
                *count += 1;
            }
        }
        Ok(events.iter().map(|event| Ok(Count::fresh(counts[event]))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.page((Operation::Attendees, b'u', event.as_str()), request, |rsvp| {
            (rsvp.event == *event).then(|| (rsvp.user.to_string(), rsvp.user.clone()))
        })
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page((Operation::EventsOf, b'e', user.as_str()), request, |rsvp| {
            (rsvp.user == *user).then(|| (rsvp.event.to_string(), rsvp.event.clone()))
        })
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        // A control character is in no id, so it parts the two.
        self.page((Operation::Scan, b's', ""), request, |rsvp| {
            Some((format!("{}\0{}", rsvp.user, rsvp.event), rsvp.clone()))
        })
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let data = self.begin(Operation::RemoveEvent, options.deadline)?;
        Ok(Self::remove(data, limit, |rsvp| rsvp.event == *event))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let data = self.begin(Operation::RemoveUser, options.deadline)?;
        Ok(Self::remove(data, limit, |rsvp| rsvp.user == *user))
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        Ok(self.begin(Operation::Label, options.deadline)?.labels.get(name).cloned())
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let mut data = self.begin(Operation::ReplaceLabel, options.deadline)?;
        let before = data.labels.get(name).cloned();
        if before.as_ref() == expected {
            data.labels.insert(name.clone(), value.clone());
        }
        Ok(before)
    }

    async fn ready(&self) -> Result<()> {
        self.begin(Operation::Ready, None).map(drop)
    }

    async fn close(&self) -> Result<()> {
        self.data.lock().unwrap().closed = true;
        Ok(())
    }
}
