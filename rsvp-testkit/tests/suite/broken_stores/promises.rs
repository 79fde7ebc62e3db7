//! Stores that break the promises about entries, effects, deadlines, labels and closing.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::backend::CursorWriter;
use rsvp_core::{
    BatchReceipt, Consistency, Count, Deadline, Effect, Error, EventId, Label, LabelName,
    Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    RsvpStoreExt, UserId, Write, WriteOptions, async_trait,
};
use rsvp_testkit::{Stub, Stubbed, Subject};
use tokio::time::sleep;

use super::Sentences;
use crate::sorted_store::SortedStore;

/// One way to be broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    OneEntryFailsAll,
    FailedEntriesAreLeftOut,
    HalfOfAPairFails,
    WritesIgnoreTheirDeadline,
    ReadsIgnoreTheirDeadline,
    FarDeadlinesArePast,
    LateWritesTakeEffect,
    WhatWasAppliedIsDenied,
    CursorsForgetTheirSubject,
    PagesBehindTheFirstAreStale,
    AListingEndsWhenSomebodyWrites,
    EventualCountsInvent,
    LabelsAreReplacedWhateverTheyHold,
    LabelsAnswerWhatTheyHoldNow,
    LabelsAreReplacedInTwoSteps,
    LabelsAreCutShort,
    LabelNamesIgnoreCase,
    LabelsAreRsvps,
    RemovalsTakeLabelsAlong,
    AClosedStoreGoesOn,
    ClosingTwiceFails,
    ClosingForgetsCallsUnderWay,
    AStepThatFailedIsCountedAgain,
}

pub(super) const SENTENCES: Sentences<Fault> = &[
    (Fault::OneEntryFailsAll, &["an_entry_that_fails_takes_no_other_down"]),
    (Fault::FailedEntriesAreLeftOut, &["an_entry_that_fails_takes_no_other_down"]),
    (Fault::HalfOfAPairFails, &["writes_of_one_pair_in_a_batch_fail_or_succeed_together"]),
    (Fault::WritesIgnoreTheirDeadline, &["a_call_whose_deadline_has_passed_is_not_begun"]),
    (Fault::ReadsIgnoreTheirDeadline, &["a_call_whose_deadline_has_passed_is_not_begun"]),
    (Fault::FarDeadlinesArePast, &["a_deadline_that_is_far_changes_nothing"]),
    (
        Fault::LateWritesTakeEffect,
        &[
            "what_a_failed_write_did_not_do_it_never_does",
            "an_acknowledged_cancel_is_not_undone_by_an_earlier_write",
        ],
    ),
    (Fault::WhatWasAppliedIsDenied, &["what_a_failed_write_did_not_do_it_never_does"]),
    (Fault::CursorsForgetTheirSubject, &["a_cursor_of_another_subject_is_refused"]),
    (Fault::PagesBehindTheFirstAreStale, &["lists_of_several_pages_are_as_fresh_as_asked"]),
    (Fault::AListingEndsWhenSomebodyWrites, &["what_stays_is_listed_among_concurrent_writers"]),
    (Fault::EventualCountsInvent, &["no_read_invents_what_was_never_written"]),
    (
        Fault::LabelsAreReplacedWhateverTheyHold,
        &[
            "a_label_is_set_if_it_is_absent",
            "a_label_is_replaced_only_if_it_holds_what_was_expected",
        ],
    ),
    (Fault::LabelsAnswerWhatTheyHoldNow, &["a_label_is_set_if_it_is_absent"]),
    (Fault::LabelsAreReplacedInTwoSteps, &["one_of_many_concurrent_replacements_of_a_label_wins"]),
    (Fault::LabelsAreCutShort, &["labels_are_kept_whole_and_apart"]),
    (Fault::LabelNamesIgnoreCase, &["labels_are_kept_whole_and_apart"]),
    (Fault::LabelsAreRsvps, &["labels_are_no_rsvps_and_no_removal_touches_them"]),
    (Fault::RemovalsTakeLabelsAlong, &["labels_are_no_rsvps_and_no_removal_touches_them"]),
    (Fault::AClosedStoreGoesOn, &["a_closed_store_refuses_every_call"]),
    (Fault::ClosingTwiceFails, &["a_closed_store_refuses_every_call"]),
    (Fault::ClosingForgetsCallsUnderWay, &["calls_under_way_are_finished_when_a_store_closes"]),
    (
        Fault::AStepThatFailedIsCountedAgain,
        &["a_removal_repeated_after_a_failed_step_counts_nothing_twice"],
    ),
];

struct Broken {
    fault: Fault,
    store: Arc<dyn RsvpStore>,
    /// The writes to the engine.
    writes: Arc<AtomicU64>,
    /// Their number when the latest listing began.
    first_page: AtomicU64,
    /// What a failed step has removed.
    owed: AtomicU64,
    removed: Mutex<HashSet<String>>,
    closed: AtomicBool,
}

pub(super) fn subject(fault: Fault) -> Subject {
    let writes = Arc::<AtomicU64>::default();
    Subject::layered(SortedStore::default(), |store| {
        Stubbed(Broken {
            fault,
            store,
            writes: writes.clone(),
            first_page: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            removed: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    })
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn write_options(&self, options: &WriteOptions) -> WriteOptions {
        if self.is(Fault::WritesIgnoreTheirDeadline) {
            WriteOptions::default()
        } else {
            options.clone()
        }
    }

    fn read_options(&self, options: &ReadOptions) -> ReadOptions {
        if self.is(Fault::ReadsIgnoreTheirDeadline) {
            ReadOptions::from(options.consistency.clone())
        } else {
            options.clone()
        }
    }

    fn name(&self, name: &LabelName) -> LabelName {
        match self.fault {
            Fault::LabelNamesIgnoreCase => name.as_str().to_lowercase().parse().unwrap(),
            _ => name.clone(),
        }
    }

    /// A deadline that cannot be met by a store that takes its time.
    fn is_tight(deadline: Option<Deadline>) -> bool {
        let tight = |deadline: Deadline| {
            !deadline.has_passed() && deadline.remaining() < Duration::from_millis(50)
        };
        deadline.is_some_and(tight)
    }

    /// The second write of a pair fails.
    async fn write_firsts(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let mut seen = HashSet::new();
        let is_first: Vec<_> = writes.iter().map(|write| seen.insert(&write.rsvp)).collect();
        let firsts = writes.iter().zip(&is_first).filter(|(_, is_first)| **is_first);
        let firsts: Vec<_> = firsts.map(|(write, _)| write.clone()).collect();
        let receipt = self.store.write_batch(&firsts, &WriteOptions::default()).await?;
        let mut results = receipt.results.into_iter();
        let results = is_first.into_iter().map(|is_first| match is_first {
            true => results.next().unwrap(),
            false => Err(Error::overloaded(Operation::Write)),
        });
        Ok(BatchReceipt::new(results.collect(), receipt.token))
    }

    /// The cursor as if it were of this subject.
    fn adopt(&self, tag: u8, subject: &str, request: &PageRequest) -> PageRequest {
        let mut request = request.clone();
        if let (Fault::CursorsForgetTheirSubject, Some(cursor)) = (self.fault, &request.cursor) {
            // The tag and the digest of the subject take nine bytes.
            let fields = &cursor.as_bytes()[9..];
            request.cursor = Some(CursorWriter::new(tag, subject).rest(fields).finish());
        }
        request.options = self.read_options(&request.options);
        request
    }

    fn page<T>(&self, request: &PageRequest, mut page: Page<T>) -> Page<T> {
        let is_behind = request.cursor.is_some();
        let is_session = matches!(request.options.consistency, Consistency::Session(_));
        if self.is(Fault::PagesBehindTheFirstAreStale) && is_behind && is_session {
            page.items.clear();
        }
        let writes = self.writes.load(Ordering::SeqCst);
        if !is_behind {
            self.first_page.store(writes, Ordering::SeqCst);
        }
        if self.is(Fault::AListingEndsWhenSomebodyWrites)
            && self.first_page.load(Ordering::SeqCst) != writes
        {
            page.next = None;
        }
        page
    }
}

impl Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken").field("fault", &self.fault).finish_non_exhaustive()
    }
}

#[async_trait]
impl Stub for Broken {
    fn inner(&self) -> &dyn RsvpStore {
        &*self.store
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let options = self.write_options(options);
        let is_far = |deadline: Deadline| deadline.remaining() > Duration::from_secs(24 * 3600);
        match self.fault {
            Fault::HalfOfAPairFails => return self.write_firsts(writes).await,
            Fault::FarDeadlinesArePast if options.deadline.is_some_and(is_far) => {
                return Err(Error::too_late(Operation::Write));
            }
            Fault::LateWritesTakeEffect if Self::is_tight(options.deadline) => {
                let (store, writes) = (self.store.clone(), writes.to_vec());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(20)).await;
                    store.write_batch(&writes, &WriteOptions::default()).await
                });
                return Err(Error::timed_out(Operation::Write, Duration::ZERO, Effect::Unknown));
            }
            Fault::WhatWasAppliedIsDenied if Self::is_tight(options.deadline) => {
                self.store.write_batch(writes, &options).await?;
                return Err(Error::too_late(Operation::Write));
            }
            Fault::ClosingForgetsCallsUnderWay => sleep(Duration::from_millis(1)).await,
            _ => {}
        }
        let mut receipt = self.store.write_batch(writes, &options).await?;
        if self.is(Fault::OneEntryFailsAll) {
            receipt.outcomes()?;
        }
        if self.is(Fault::FailedEntriesAreLeftOut) {
            receipt.results.retain(Result::is_ok);
        }
        Ok(receipt)
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.store.has_rsvped_batch(pairs, &self.read_options(options)).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let mut counts = self.store.rsvp_count_batch(events, &self.read_options(options)).await?;
        if self.is(Fault::EventualCountsInvent) && options.consistency == Consistency::Eventual {
            counts.iter_mut().flatten().for_each(|count| count.value += 1);
        }
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let adopted = self.adopt(b'u', event.as_str(), request);
        let page = self.store.attendees_page(event, &adopted).await?;
        Ok(self.page(request, page))
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let adopted = self.adopt(b'e', user.as_str(), request);
        self.store.events_of_page(user, &adopted).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.removed.lock().unwrap().insert(event.to_string());
        let options = self.write_options(options);
        if !self.is(Fault::AStepThatFailedIsCountedAgain) {
            return self.store.remove_event_step(event, limit, &options).await;
        }
        let mut step = self.store.remove_event_step(event, limit, &options).await?;
        if Self::is_tight(options.deadline) {
            self.owed.fetch_add(step.removed, Ordering::SeqCst);
            return Err(Error::unavailable(Operation::RemoveEvent, Effect::Unknown, None));
        }
        step.removed += self.owed.swap(0, Ordering::SeqCst);
        Ok(step)
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        if self.is(Fault::RemovalsTakeLabelsAlong)
            && self.removed.lock().unwrap().contains(name.as_str())
        {
            return Ok(None);
        }
        let label = self.store.label(&self.name(name), &self.read_options(options)).await?;
        Ok(label.map(|label| match self.fault {
            Fault::LabelsAreCutShort => {
                Label::new(label.as_str().chars().take(255).collect::<String>()).unwrap()
            }
            _ => label,
        }))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let (name, options) = (&self.name(name), &self.write_options(options));
        let before = self.store.label(name, &ReadOptions::strong()).await;
        match self.fault {
            Fault::LabelsAreReplacedWhateverTheyHold => {
                return self.store.replace_label(name, before?.as_ref(), value, options).await;
            }
            Fault::LabelsAreReplacedInTwoSteps
                if before.as_ref().ok() == Some(&expected.cloned()) =>
            {
                sleep(Duration::from_millis(1)).await;
                let now = self.store.label(name, &ReadOptions::strong()).await?;
                self.store.replace_label(name, now.as_ref(), value, options).await?;
                return before;
            }
            Fault::LabelsAreRsvps => {
                let event = EventId::new(name.as_str()).unwrap();
                self.store.rsvp(&UserId::new("labels").unwrap(), &event).await?;
            }
            _ => {}
        }
        let before = self.store.replace_label(name, expected, value, options).await?;
        match self.fault {
            Fault::LabelsAnswerWhatTheyHoldNow => {
                self.store.label(name, &ReadOptions::strong()).await
            }
            _ => Ok(before),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::SeqCst) && self.is(Fault::ClosingTwiceFails) {
            return Err(Error::closed(Operation::Close));
        }
        match self.fault {
            Fault::AClosedStoreGoesOn => Ok(()),
            _ => self.store.close().await,
        }
    }
}
