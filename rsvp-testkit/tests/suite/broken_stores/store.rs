//! A sorted store with one fault.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use rsvp_core::{
    Action, BatchReceipt, Consistency, Count, Cursor, Error, EventId, Operation, Outcome, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, RsvpStoreExt,
    UserId, Write, WriteOptions, async_trait,
};
use rsvp_testkit::{Stub, Stubbed, Subject};

use super::fault::Fault;
use crate::sorted_store::SortedStore;

pub(super) struct BrokenStore {
    fault: Fault,
    store: Arc<dyn RsvpStore>,
    /// What this handle believes of a pair it has asked about or written.
    believed: Mutex<HashMap<Rsvp, bool>>,
    /// An outcome that was kept back for somebody else.
    kept: Mutex<Option<Outcome>>,
    drift: Mutex<HashMap<EventId, u64>>,
    ghosts: Mutex<Vec<Rsvp>>,
    /// What the last write overwrote: whether its pair was there before.
    before: Mutex<Option<(Rsvp, bool)>>,
}

impl BrokenStore {
    fn new(fault: Fault, store: Arc<dyn RsvpStore>) -> Self {
        Self {
            fault,
            store,
            believed: Mutex::default(),
            kept: Mutex::default(),
            drift: Mutex::default(),
            ghosts: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// A store with the fault, and a peer of the same kind on the same data.
    pub(super) fn subject(fault: Fault) -> Subject {
        Subject::layered(SortedStore::default(), |store| Stubbed(Self::new(fault, store)))
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn id(&self, id: &str) -> String {
        match self.fault {
            Fault::IdsAreCaseFolded => id.to_lowercase(),
            Fault::IdsAreTrimmed if !id.trim().is_empty() => id.trim().to_owned(),
            _ => id.to_owned(),
        }
    }

    fn pair(&self, pair: &Rsvp) -> Rsvp {
        if self.is(Fault::PairsJoinToOneKey) {
            let joined = format!("{}:{}", pair.user, pair.event);
            let (user, event) = joined.split_once(':').unwrap();
            let event = if event.is_empty() { "none" } else { event };
            let user = if user.is_empty() { "none" } else { user };
            return Rsvp::new(UserId::new(user).unwrap(), EventId::new(event).unwrap());
        }
        let user = UserId::new(self.id(pair.user.as_str())).unwrap();
        Rsvp::new(user, EventId::new(self.id(pair.event.as_str())).unwrap())
    }

    fn serves_stale(&self, consistency: &Consistency) -> bool {
        match consistency {
            Consistency::Strong => self.is(Fault::StrongReadsAreStale),
            Consistency::Session(_) => self.is(Fault::SessionReadsAreStale),
            _ => false,
        }
    }

    fn knows_nothing(&self, consistency: &Consistency) -> bool {
        self.is(Fault::BoundedReadsKnowNothing) && matches!(consistency, Consistency::Bounded(_))
    }

    async fn write(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        if self.is(Fault::ConcurrentRsvpsBothApply)
            && let [Write { action: Action::Rsvp, rsvp, .. }] = writes
            && !self.store.has_rsvped(&rsvp.user, &rsvp.event).await?
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let receipt = self.store.write_batch(writes, options).await?;
            return Ok(BatchReceipt::acknowledged([Outcome::Applied], receipt.token));
        }
        let receipt = self.store.write_batch(writes, options).await?;
        if self.is(Fault::OutcomesGoToTheWrongCaller)
            && let [outcome] = receipt.outcomes()?.as_slice()
        {
            let other = self.kept.lock().unwrap().replace(*outcome);
            let outcome = other.unwrap_or(*outcome);
            return Ok(BatchReceipt::acknowledged([outcome], receipt.token));
        }
        Ok(receipt)
    }

    fn remember(&self, writes: &[Write], outcomes: &[Outcome]) {
        for (Write { action, rsvp, .. }, outcome) in writes.iter().zip(outcomes) {
            self.believed.lock().unwrap().insert(rsvp.clone(), *action == Action::Rsvp);
            let was_there = (*action == Action::Rsvp) != outcome.is_applied();
            *self.before.lock().unwrap() = Some((rsvp.clone(), was_there));
            match (action, outcome) {
                (Action::Rsvp, Outcome::Unchanged) => {
                    *self.drift.lock().unwrap().entry(rsvp.event.clone()).or_default() += 1;
                }
                (Action::Cancel, Outcome::Applied) => {
                    self.ghosts.lock().unwrap().push(rsvp.clone());
                }
                _ => {}
            }
        }
    }

    fn break_outcomes(&self, writes: &[Write], outcomes: &mut [Outcome]) {
        match self.fault {
            Fault::OutcomesAreInTheWrongOrder => outcomes.reverse(),
            Fault::CancelsAlwaysClaimToHaveApplied => {
                for (write, outcome) in writes.iter().zip(outcomes) {
                    if write.action == Action::Cancel {
                        *outcome = Outcome::Applied;
                    }
                }
            }
            Fault::DuplicatesInABatchShareAnOutcome => {
                for at in 0..writes.len() {
                    let first = writes.iter().position(|write| *write == writes[at]).unwrap();
                    outcomes[at] = outcomes[first];
                }
            }
            _ => {}
        }
    }

    /// `tag` is the first byte of the listing's own cursors.
    fn request(&self, tag: u8, request: &PageRequest) -> PageRequest {
        let mut request = request.clone();
        if self.is(Fault::AnyCursorIsTheFirstPage)
            && let Some(cursor) = &request.cursor
            && cursor.as_bytes().first() != Some(&tag)
        {
            request.cursor = None;
        }
        if self.is(Fault::PagesIgnoreTheirLimit) {
            request.limit = PageLimit::new(request.limit.get() + 1).unwrap_or(PageLimit::MAX);
        }
        request
    }

    /// The same listing by position: what goes moves everything behind it.
    async fn by_position<T: Send>(
        &self,
        all: BoxStream<'_, Result<T>>,
        request: &PageRequest,
    ) -> Result<Page<T>> {
        let position = request.cursor.as_ref().map_or(0, |cursor| cursor.as_bytes()[1]);
        let all: Vec<T> = all.try_collect().await?;
        let (position, limit) = (usize::from(position), request.limit.get());
        let more = all.len() > position + limit;
        let items = all.into_iter().skip(position).take(limit).collect();
        let next = u8::try_from(position + limit).unwrap_or(u8::MAX);
        Ok(Page::new(items, if more { Some(Cursor::new([0, next])) } else { None }))
    }

    fn page<T>(&self, request: &PageRequest, mut page: Page<T>) -> Page<T> {
        if self.is(Fault::APageIsSkipped) && request.cursor.is_some() {
            page.items.clear();
        }
        page
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BrokenStore");
        if self.is(Fault::PrintingShowsIds) {
            shown.field("before", &self.before);
        }
        shown.field("fault", &self.fault).finish_non_exhaustive()
    }
}

#[async_trait]
impl Stub for BrokenStore {
    fn inner(&self) -> &dyn RsvpStore {
        &*self.store
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut writes: Vec<_> =
            writes.iter().map(|write| Write::new(write.action, self.pair(&write.rsvp))).collect();
        let asked = writes.len();
        if self.is(Fault::BatchesAreCutShort) {
            writes.truncate(9999);
        }
        let receipt = self.write(&writes, options).await?;
        // What the engine refuses is not what this store is about.
        let Ok(mut outcomes) = receipt.outcomes() else { return Ok(receipt) };
        self.remember(&writes, &outcomes);
        self.break_outcomes(&writes, &mut outcomes);
        outcomes.resize(asked, Outcome::Applied);
        Ok(BatchReceipt::acknowledged(outcomes, receipt.token))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let mut pairs: Vec<_> = pairs.iter().map(|pair| self.pair(pair)).collect();
        if self.is(Fault::RepeatedPairsAreAnsweredOnce) {
            pairs.sort();
            pairs.dedup();
        }
        let mut answers = self.store.has_rsvped_batch(&pairs, options).await?;
        if self.knows_nothing(&options.consistency) {
            answers.iter_mut().flatten().for_each(|answer| *answer = false);
        }
        if self.is(Fault::OnlyItsOwnWritesAreSeen) {
            let mut believed = self.believed.lock().unwrap();
            for (pair, answer) in pairs.iter().zip(answers.iter_mut().flatten()) {
                *answer = *believed.entry(pair.clone()).or_insert(*answer);
            }
        }
        if let (true, Some((pair, was_there))) =
            (self.serves_stale(&options.consistency), &*self.before.lock().unwrap())
        {
            for (asked, answer) in pairs.iter().zip(answers.iter_mut().flatten()) {
                *answer = if asked == pair { *was_there } else { *answer };
            }
        }
        Ok(answers)
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let events: Vec<_> =
            events.iter().map(|event| EventId::new(self.id(event.as_str())).unwrap()).collect();
        let mut counts = self.store.rsvp_count_batch(&events, options).await?;
        for (event, count) in events.iter().zip(counts.iter_mut().flatten()) {
            if self.is(Fault::CountDriftsOnARepeatedRsvp) {
                count.value += self.drift.lock().unwrap().get(event).copied().unwrap_or(0);
            }
            if self.is(Fault::CountsAreOlderThanAsked) {
                count.age = Duration::from_secs(6);
            }
            if self.knows_nothing(&options.consistency) {
                count.value = 0;
            }
        }
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        if self.is(Fault::ListsGoByPosition) {
            return self.by_position(self.store.attendees(event), request).await;
        }
        let event = EventId::new(self.id(event.as_str())).unwrap();
        let page = self.store.attendees_page(&event, &self.request(b'u', request)).await?;
        Ok(self.page(request, page))
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        if self.is(Fault::ListsGoByPosition) {
            return self.by_position(self.store.events_of(user), request).await;
        }
        let user = UserId::new(self.id(user.as_str())).unwrap();
        let mut page = self.store.events_of_page(&user, &self.request(b'e', request)).await?;
        let forgotten =
            [Fault::ACancelledRsvpStaysInTheOtherDirection, Fault::RemovalsForgetTheOtherDirection];
        if forgotten.contains(&self.fault) && request.cursor.is_none() {
            let ghosts = self.ghosts.lock().unwrap();
            let of_user = ghosts.iter().filter(|ghost| ghost.user == user);
            page.items.extend(of_user.map(|ghost| ghost.event.clone()));
        }
        Ok(self.page(request, page))
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        if self.is(Fault::ListsGoByPosition) {
            return self.by_position(self.store.scan(), request).await;
        }
        let page = self.store.scan_page(&self.request(b's', request)).await?;
        Ok(self.page(request, page))
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let limit = if self.is(Fault::RemovalsIgnoreTheirLimit) { PageLimit::MAX } else { limit };
        if self.is(Fault::RemovalsForgetTheOtherDirection) {
            let going = self.store.attendees_page(event, &PageRequest::default()).await?.items;
            let ghosts = going.into_iter().map(|user| Rsvp::new(user, event.clone()));
            self.ghosts.lock().unwrap().extend(ghosts);
        }
        if self.is(Fault::RemovalsCountWhatTheyListed) {
            let listed = self.store.attendees_page(event, &PageRequest::default()).await?.items;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut step = self.store.remove_event_step(event, limit, options).await?;
            step.removed = listed.len() as u64;
            return Ok(step);
        }
        let mut step = self.store.remove_event_step(event, limit, options).await?;
        if self.is(Fault::RemovalsCountNothing) {
            step.removed = 0;
        }
        Ok(step)
    }

    async fn ready(&self) -> Result<()> {
        if self.is(Fault::NeverReady) {
            return Err(Error::overloaded(Operation::Ready));
        }
        self.store.ready().await
    }
}
