//! Stores that work for a few short ids, and for callers who wait.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use rsvp_core::{
    Action, BatchReceipt, Consistency, Count, Cursor, Effect, Error, EventId, Operation, Outcome,
    Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, RsvpStoreExt,
    SessionToken, UserId, Write, WriteOptions, async_trait,
};
use rsvp_testkit::{Stub, Stubbed, Subject};
use tokio::task::yield_now;

use super::Sentences;
use crate::sorted_store::SortedStore;

/// One way to be broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    ListsEndAt1000,
    RemovalsEndAfter1000,
    /// Answered `Applied` nevertheless.
    CancelsPastThe1000thAreDropped,
    TheOrderChangesWhenTheTableGrows,
    CursorsJoinIdsWithAColon,
    CursorsAreCutAt64Bytes,
    CountsWrapAt65536,
    ARemovalTakesAStarForAPattern,
    EventualReadsInventPairs,
    ADroppedWriteIsDoneInOneDirection,
    BatchesOver10000AreRefused,
    TokensGrowForEver,
    ReadyNeverAsksTheEngine,
}

pub(super) const SENTENCES: Sentences<Fault> = &[
    (Fault::ListsEndAt1000, &["a_list_of_thousands_is_read_to_its_end"]),
    (Fault::RemovalsEndAfter1000, &["a_removal_of_thousands_leaves_nothing"]),
    (Fault::CancelsPastThe1000thAreDropped, &["a_batch_of_twenty_thousand_is_done_to_its_end"]),
    (
        Fault::TheOrderChangesWhenTheTableGrows,
        &[
            "attendees_who_stay_are_listed_while_an_event_grows_and_shrinks",
            "events_that_stay_are_listed_while_a_user_gains_and_loses_some",
            "rsvps_that_stay_are_scanned_while_the_store_grows_and_shrinks",
        ],
    ),
    (Fault::CursorsJoinIdsWithAColon, &["lists_of_hostile_ids_hold_everything_at_any_page_size"]),
    (Fault::CursorsAreCutAt64Bytes, &["lists_of_ids_that_differ_at_their_end_hold_everything"]),
    (Fault::CountsWrapAt65536, &["a_count_beyond_65_536_is_exact"]),
    (Fault::ARemovalTakesAStarForAPattern, &["a_removal_takes_its_id_literally"]),
    (Fault::EventualReadsInventPairs, &["no_read_invents_what_was_never_written"]),
    (
        Fault::ADroppedWriteIsDoneInOneDirection,
        &["a_dropped_write_is_done_in_both_directions_or_in_none"],
    ),
    (Fault::BatchesOver10000AreRefused, &["a_batch_of_twenty_thousand_is_done_to_its_end"]),
    (Fault::TokensGrowForEver, &["a_token_stays_small_however_many_writes_it_stands_for"]),
    (Fault::ReadyNeverAsksTheEngine, &["a_store_that_cannot_write_is_not_ready"]),
];

struct Broken {
    fault: Fault,
    store: Arc<dyn RsvpStore>,
    /// How many items came before each cursor.
    listed: Mutex<HashMap<Cursor, usize>>,
    /// Pairs that are not in the lists of their users.
    hidden: Mutex<HashSet<Rsvp>>,
    writes: AtomicU64,
    closed: AtomicBool,
}

pub(super) fn subject(fault: Fault) -> Subject {
    Subject::layered(SortedStore::default(), |store| {
        Stubbed(Broken {
            fault,
            store,
            listed: Mutex::default(),
            hidden: Mutex::default(),
            writes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    })
}

impl Broken {
    /// The first thousand of a listing.
    fn cut<T>(&self, request: &PageRequest, mut page: Page<T>) -> Page<T> {
        let mut listed = self.listed.lock().unwrap();
        let before = request.cursor.as_ref().map_or(0, |cursor| listed[cursor]);
        page.items.truncate(1000 - before);
        let after = before + page.items.len();
        page.next = page.next.filter(|_| after < 1000);
        page.next.iter().for_each(|next| {
            listed.insert(next.clone(), after);
        });
        page
    }

    /// A listing in the order of a hash table, whose buckets depend on its size.
    fn by_bucket<T: Hash>(tag: u8, all: Vec<T>, request: &PageRequest) -> Result<Page<T>> {
        let place = |item: &T, buckets: u64| {
            let mut hasher = DefaultHasher::new();
            item.hash(&mut hasher);
            (hasher.finish() % buckets, hasher.finish())
        };
        let buckets = 2 * all.len() as u64 + 1;
        let mut after = None;
        if let Some(cursor) = &request.cursor {
            let (own, fields) = cursor.as_bytes().split_first().ok_or_else(Cursor::refused)?;
            let fields = <[u8; 16]>::try_from(fields).map_err(|_| Cursor::refused())?;
            assert_eq!(*own, tag, "a test of this fault mixes no cursors");
            let fields = u128::from_be_bytes(fields);
            after = Some(((fields >> 64) as u64, fields as u64));
        }
        let mut items: Vec<_> = all.into_iter().map(|item| (place(&item, buckets), item)).collect();
        items.retain(|(place, _)| after.is_none_or(|after| *place > after));
        items.sort_by_key(|(place, _)| *place);
        let more = items.len() > request.limit.get();
        items.truncate(request.limit.get());
        let next = items.last().filter(|_| more).map(|((bucket, hash), _)| {
            let fields = (u128::from(*bucket) << 64 | u128::from(*hash)).to_be_bytes();
            Cursor::new([&[tag], &fields[..]].concat())
        });
        Ok(Page::new(items.into_iter().map(|(_, item)| item).collect(), next))
    }

    /// A scan whose cursors are `user:event`.
    async fn scan_by_joined_key(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let key = |user: &str, event: &str| format!("{user}\0{event}");
        let mut after = String::new();
        if let Some(cursor) = &request.cursor {
            let text = std::str::from_utf8(cursor.as_bytes()).map_err(|_| Cursor::refused())?;
            let (user, event) = text.split_once(':').ok_or_else(Cursor::refused)?;
            after = key(user, event);
        }
        let mut all: Vec<Rsvp> = self.store.scan().try_collect().await?;
        all.retain(|pair| key(pair.user.as_str(), pair.event.as_str()) > after);
        let more = all.len() > request.limit.get();
        all.truncate(request.limit.get());
        let last = all.last().filter(|_| more);
        let next = last.map(|pair| Cursor::new(format!("{}:{}", pair.user, pair.event)));
        Ok(Page::new(all, next))
    }

    /// A list of attendees whose cursors have room for 64 bytes.
    async fn attendees_by_short_cursor(
        &self,
        event: &EventId,
        request: &PageRequest,
    ) -> Result<Page<UserId>> {
        let after = request.cursor.as_ref().map_or(&[][..], Cursor::as_bytes);
        let mut all: Vec<UserId> = self.store.attendees(event).try_collect().await?;
        all.retain(|user| user.as_str().as_bytes() > after);
        let more = all.len() > request.limit.get();
        all.truncate(request.limit.get());
        let cut = |user: &UserId| Cursor::new(user.as_str().bytes().take(64).collect::<Vec<_>>());
        let next = all.last().filter(|_| more).map(cut);
        Ok(Page::new(all, next))
    }

    /// The store changes first, the lists of the users after everybody else had a turn.
    async fn write_in_two_steps(
        &self,
        writes: &[Write],
        options: &WriteOptions,
    ) -> Result<BatchReceipt> {
        let receipt = self.store.write_batch(writes, options).await?;
        let pairs = || writes.iter().map(|write| write.rsvp.clone());
        self.hidden.lock().unwrap().extend(pairs());
        yield_now().await;
        yield_now().await;
        let mut hidden = self.hidden.lock().unwrap();
        pairs().for_each(|pair| {
            hidden.remove(&pair);
        });
        Ok(receipt)
    }

    async fn write_with_fewer_cancels(
        &self,
        writes: &[Write],
        options: &WriteOptions,
    ) -> Result<BatchReceipt> {
        let mut cancels = 0;
        let kept = writes.iter().filter(|write| {
            cancels += u32::from(write.action == Action::Cancel);
            write.action == Action::Rsvp || cancels <= 1000
        });
        let kept: Vec<_> = kept.cloned().collect();
        let receipt = self.store.write_batch(&kept, options).await?;
        let mut outcomes = kept.iter().zip(receipt.outcomes()?).peekable();
        let outcomes = writes.iter().map(|write| match outcomes.peek() {
            Some((next, _)) if *next == write => outcomes.next().unwrap().1,
            _ => Outcome::Applied,
        });
        Ok(BatchReceipt::acknowledged(outcomes.collect::<Vec<_>>(), receipt.token))
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
        let nth = self.writes.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::CancelsPastThe1000thAreDropped => {
                self.write_with_fewer_cancels(writes, options).await
            }
            Fault::ADroppedWriteIsDoneInOneDirection => {
                self.write_in_two_steps(writes, options).await
            }
            Fault::BatchesOver10000AreRefused if writes.len() > 10_000 => {
                let why = std::io::Error::other("the batch is too long");
                Err(Error::backend(Operation::Write, Effect::NotApplied, false, why))
            }
            Fault::TokensGrowForEver => {
                let mut receipt = self.store.write_batch(writes, options).await?;
                // Like the number of a connection or a transaction.
                receipt.token = SessionToken::at(u64::MAX - nth, 1);
                Ok(receipt)
            }
            _ => self.store.write_batch(writes, options).await,
        }
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        if self.fault == Fault::EventualReadsInventPairs
            && options.consistency == Consistency::Eventual
        {
            let all: Vec<Rsvp> = self.store.scan().try_collect().await?;
            let known = |pair: &Rsvp| {
                all.iter().any(|other| other.user == pair.user)
                    && all.iter().any(|other| other.event == pair.event)
            };
            return Ok(pairs.iter().map(|pair| Ok(known(pair))).collect());
        }
        self.store.has_rsvped_batch(pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let mut counts = self.store.rsvp_count_batch(events, options).await?;
        if self.fault == Fault::CountsWrapAt65536 {
            counts.iter_mut().flatten().for_each(|count| count.value %= 65_536);
        }
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        match self.fault {
            Fault::ListsEndAt1000 => {
                Ok(self.cut(request, self.store.attendees_page(event, request).await?))
            }
            Fault::TheOrderChangesWhenTheTableGrows => {
                Self::by_bucket(b'u', self.store.attendees(event).try_collect().await?, request)
            }
            Fault::CursorsAreCutAt64Bytes => self.attendees_by_short_cursor(event, request).await,
            _ => self.store.attendees_page(event, request).await,
        }
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        match self.fault {
            Fault::TheOrderChangesWhenTheTableGrows => {
                Self::by_bucket(b'e', self.store.events_of(user).try_collect().await?, request)
            }
            Fault::ADroppedWriteIsDoneInOneDirection => {
                let mut page = self.store.events_of_page(user, request).await?;
                let hidden = self.hidden.lock().unwrap();
                page.items
                    .retain(|event| !hidden.contains(&Rsvp::new(user.clone(), event.clone())));
                Ok(page)
            }
            _ => self.store.events_of_page(user, request).await,
        }
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        match self.fault {
            Fault::TheOrderChangesWhenTheTableGrows => {
                Self::by_bucket(b's', self.store.scan().try_collect().await?, request)
            }
            Fault::CursorsJoinIdsWithAColon => self.scan_by_joined_key(request).await,
            _ => self.store.scan_page(request).await,
        }
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        match self.fault {
            Fault::RemovalsEndAfter1000 => {
                let mut step = self.store.remove_event_step(event, limit, options).await?;
                step.more = step.more && step.removed < 1000;
                Ok(step)
            }
            Fault::ARemovalTakesAStarForAPattern if event.as_str() == "*" => {
                let all: Vec<Rsvp> = self.store.scan().try_collect().await?;
                for pair in &all {
                    self.store.cancel(&pair.user, &pair.event).await?;
                }
                Ok(RemovalStep::new(all.len() as u64, false, SessionToken::new()))
            }
            _ => self.store.remove_event_step(event, limit, options).await,
        }
    }

    async fn ready(&self) -> Result<()> {
        if self.fault != Fault::ReadyNeverAsksTheEngine {
            return self.store.ready().await;
        }
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::closed(Operation::Ready)),
            false => Ok(()),
        }
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        self.store.close().await
    }
}
