//! A store of a third party, a sorted set behind a lock, opened by URL with a layer of its own.

mod layer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsvp::backend::{CursorReader, CursorWriter};
use rsvp::layers::LayerExt;
use rsvp::{
    Action, BatchReceipt, Count, Deadline, Error, EventId, Label, LabelName, MAX_ID_BYTES,
    Operation, Outcome, Page, PageLimit, PageRequest, ReadOptions, Registry, RemovalStep, Result,
    Rsvp, RsvpStore, SessionToken, UserId, Write, WriteOptions, async_trait, url::StoreUrl,
};

pub use self::layer::Hedge;

/// The schemes of `rsvp`, and `sorted:?hedge=50ms`.
pub fn registry() -> Registry {
    Registry::default().with_scheme("sorted", async |mut url: StoreUrl| {
        let after = url.parameters_mut().take_duration("hedge")?;
        url.parameters_mut().finish()?;
        let after = after.unwrap_or(Duration::from_millis(50));
        Ok(SortedStore::default().with_layer(Hedge { after }))
    })
}

/// Keeps RSVPs in one set, sorted by user and event.
#[derive(Default)]
pub struct SortedStore(Mutex<Data>);

#[derive(Default)]
struct Data {
    rsvps: BTreeSet<Rsvp>,
    labels: BTreeMap<LabelName, Label>,
    closed: bool,
}

impl SortedStore {
    /// Begins a call, unless the store is closed or the answer would come too late.
    fn begin(&self, of: Operation, deadline: Option<Deadline>) -> Result<MutexGuard<'_, Data>> {
        let data = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match deadline {
            _ if data.closed => Err(Error::closed(of)),
            Some(deadline) if deadline.has_passed() => Err(Error::too_late(of)),
            _ => Ok(data),
        }
    }

    /// A page of the pairs that `item` takes. The cursor holds the last pair of the page before.
    fn page<T>(
        &self,
        (of, tag, subject): (Operation, u8, &str),
        request: &PageRequest,
        item: impl Fn(&Rsvp) -> Option<T>,
    ) -> Result<Page<T>> {
        let data = self.begin(of, request.options.deadline)?;
        let mut start = None;
        if let Some(mut cursor) = CursorReader::of(tag, subject, request)? {
            start = Some((cursor.text(MAX_ID_BYTES)?, cursor.text(MAX_ID_BYTES)?));
            cursor.end()?;
        }
        let after = data.rsvps.iter().filter(|pair| start.is_none_or(|start| key(pair) > start));
        let mut found = after.filter_map(|pair| Some((key(pair), item(pair)?)));
        let (keys, items): (Vec<_>, _) = found.by_ref().take(request.limit.get()).unzip();
        let last = found.next().and(keys.last());
        let cursor = |(user, event)| CursorWriter::new(tag, subject).text(user).text(event);
        Ok(Page::new(items, last.map(|last| cursor(*last).finish())))
    }
}

fn key(pair: &Rsvp) -> (&str, &str) {
    (pair.user.as_str(), pair.event.as_str())
}

impl Data {
    fn remove(&mut self, limit: PageLimit, goes: impl Fn(&Rsvp) -> bool) -> RemovalStep {
        let going: BTreeSet<_> =
            self.rsvps.iter().filter(|pair| goes(pair)).take(limit.get()).cloned().collect();
        self.rsvps.retain(|pair| !going.contains(pair));
        RemovalStep::new(going.len() as u64, self.rsvps.iter().any(goes), SessionToken::new())
    }
}

/// Logs show no ids.
impl fmt::Debug for SortedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SortedStore")
    }
}

#[async_trait]
impl RsvpStore for SortedStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut data = self.begin(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|Write { action, rsvp, .. }| match action {
            Action::Rsvp => Outcome::from_changed(data.rsvps.insert(rsvp.clone())),
            Action::Cancel => Outcome::from_changed(data.rsvps.remove(rsvp)),
        });
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(&self, all: &[Rsvp], o: &ReadOptions) -> Result<Vec<Result<bool>>> {
        let data = self.begin(Operation::HasRsvped, o.deadline)?;
        Ok(all.iter().map(|pair| Ok(data.rsvps.contains(pair))).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let data = self.begin(Operation::RsvpCount, options.deadline)?;
        let mut counts = BTreeMap::<_, u64>::new();
        data.rsvps.iter().for_each(|pair| *counts.entry(&pair.event).or_default() += 1);
        let count = |event| counts.get(event).copied().unwrap_or_default();
        Ok(events.iter().map(|event| Ok(Count::fresh(count(event)))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.page((Operation::Attendees, b'u', event.as_str()), request, |pair| {
            (pair.event == *event).then(|| pair.user.clone())
        })
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page((Operation::EventsOf, b'e', user.as_str()), request, |pair| {
            (pair.user == *user).then(|| pair.event.clone())
        })
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
        let mut data = self.begin(Operation::RemoveEvent, options.deadline)?;
        Ok(data.remove(limit, |pair| pair.event == *event))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let mut data = self.begin(Operation::RemoveUser, options.deadline)?;
        Ok(data.remove(limit, |pair| pair.user == *user))
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}
