//! Lists over shards. Several shards are listed at once, each with its share of the page.

use futures_util::future::{BoxFuture, join_all};

use super::cursor::{Position, added_bytes};
use super::{Shard, ShardedStore};
use crate::backend::combine;
use crate::{Cursor, Operation, Page, PageLimit, PageRequest, Result, RsvpStore};

/// A request for a page of one shard.
type Asked<'a, T> = BoxFuture<'a, Result<Page<T>>>;

/// The greatest number of bytes of open shards in a cursor.
/// The cursor of the first open shard is added to it, whatever its length.
const MAX_OPEN_BYTES: usize = 1024;

/// The greatest number of open shards of a listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(usize);

impl Window {
    /// The cursor of a listing has room for sixteen cursors of ids of usual length.
    pub(super) const OF_EVENT: Self = Self(16);
    /// A user has few events on each of many shards.
    /// Most shards are listed completely by the first request and need no cursor.
    pub(super) const OF_USER: Self = Self(64);
    /// One shard after another. A scan is long, no user waits for its first page,
    /// and a page of one shard costs the servers less than the same number of items
    /// of several shards.
    pub(super) const OF_SCAN: Self = Self(1);
}

/// A shard of a listing, with its cursor. `None` at the beginning of the shard.
type Place<'a, S> = (&'a Shard<S>, Option<Cursor>);

impl<S: RsvpStore> ShardedStore<S> {
    /// Asks shards in rounds, until half of the page is full or the list has ended.
    ///
    /// Most pages take one round. It fills the page if every shard has enough items for its share.
    pub(super) async fn list<'a, T>(
        &'a self,
        (operation, subject): (Operation, String),
        shards: Vec<&'a Shard<S>>,
        window: Window,
        request: &PageRequest,
        ask: impl Fn(&'a S, PageRequest) -> Asked<'a, T>,
    ) -> Result<Page<T>> {
        let position = Position::parse(operation, &subject, request.cursor.as_ref())?;
        let mut listing = Listing::new(shards, position)?;
        let limit = request.limit.get();
        let mut items = Vec::new();
        let mut goes_on = true;
        while goes_on && !listing.is_over() && 2 * items.len() < limit {
            // 1. Choose the shards of this round, and the share of each.
            let left = limit.saturating_sub(items.len());
            let places = listing.round(window, left);
            let asked: Vec<_> = shares(left, places.len())
                .zip(&places)
                .map(|(limit, (shard, cursor))| {
                    let page = PageRequest { limit, cursor: cursor.clone(), ..request.clone() };
                    let page = ask(&shard.store, page);
                    async move { page.await.map_err(|error| shard.named(error)) }
                })
                .collect();
            // 2. Ask all of them at once. A list without a shard is an error, never a shorter list.
            let pages = combine(join_all(asked).await)?;
            // 3. Take the pages whose cursors fit into the cursor of the listing.
            //    If no shard has ended, some answered a short page of their own accord, and
            //    so does this listing.
            goes_on = listing.advance(places, pages, &mut items);
        }
        let next = (!listing.is_over()).then(|| listing.position().print(operation, &subject));
        Ok(Page { items, next })
    }
}

/// The unfinished shards of a listing, in the order of their hashes.
struct Listing<'a, S> {
    /// The begun shards with more items.
    open: Vec<(&'a Shard<S>, Cursor)>,
    /// The last begun shard.
    begun: Option<u64>,
    /// The shards not begun. The next one is at the end.
    rest: Vec<&'a Shard<S>>,
    /// The greatest number of bytes that an open shard has added to the cursor so far.
    largest: usize,
}

impl<'a, S> Listing<'a, S> {
    /// Makes the listing of these shards at a position.
    fn new(shards: Vec<&'a Shard<S>>, Position { begun, open }: Position) -> Result<Self> {
        let known = |hash: u64| shards.iter().find(|shard| shard.hash == hash).copied();
        if begun.is_some_and(|hash| known(hash).is_none()) {
            return Err(Cursor::refused());
        }
        let open = open.into_iter().map(|(hash, cursor)| {
            known(hash).map(|shard| (shard, cursor)).ok_or_else(Cursor::refused)
        });
        let open = open.collect::<Result<Vec<_>>>()?;
        let mut rest = shards;
        rest.retain(|shard| begun.is_none_or(|begun| shard.hash > begun));
        rest.reverse();
        let largest = open.iter().map(|(_, cursor)| added_bytes(cursor)).max().unwrap_or_default();
        Ok(Self { open, begun, rest, largest })
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() && self.rest.is_empty()
    }

    fn position(&self) -> Position {
        let open = self.open.iter().map(|(shard, cursor)| (shard.hash, cursor.clone()));
        Position { begun: self.begun, open: open.collect() }
    }

    /// Takes out the shards of the next round, at most `left`: the open ones,
    /// then as many new ones as the window and the cursor have room for.
    fn round(&mut self, Window(window): Window, left: usize) -> Vec<Place<'a, S>> {
        let used: usize = self.open.iter().map(|(_, cursor)| added_bytes(cursor)).sum();
        // Expect new cursors to be as long as the longest one so far.
        let room = MAX_OPEN_BYTES.saturating_sub(used).checked_div(self.largest);
        let room = room.unwrap_or(window).max(usize::from(self.open.is_empty()));
        let new = window.saturating_sub(self.open.len()).min(room);
        let kept = self.open.split_off(self.open.len().min(left).min(window));
        let open = std::mem::replace(&mut self.open, kept);
        let mut places: Vec<_> =
            open.into_iter().map(|(shard, cursor)| (shard, Some(cursor))).collect();
        let new = new.min(left - places.len().min(left));
        let begun = self.rest.split_off(self.rest.len().saturating_sub(new));
        places.extend(begun.into_iter().rev().map(|shard| (shard, None)));
        places
    }

    /// Moves on after the pages of a round, and adds their items.
    /// Returns whether a shard has ended.
    ///
    /// A page whose cursor does not fit is dropped, and its shard stays at its position.
    /// The first page is always taken, so every round makes progress.
    fn advance<T>(
        &mut self,
        places: Vec<Place<'a, S>>,
        pages: Vec<Page<T>>,
        items: &mut Vec<T>,
    ) -> bool {
        let bytes = |cursor: &Option<Cursor>| cursor.as_ref().map_or(0, added_bytes);
        // 1. The bytes of the cursors of all open shards, as if no shard had moved on.
        let later = std::mem::take(&mut self.open);
        let mut used = later.iter().map(|(_, cursor)| added_bytes(cursor)).sum::<usize>();
        used += places.iter().map(|(_, cursor)| bytes(cursor)).sum::<usize>();
        let (mut is_first, mut ended, mut left_out) = (true, false, Vec::new());
        for ((shard, before), page) in places.into_iter().zip(pages) {
            // 2. A page fits if the cursor stays within its bound with the new position.
            let (old, new) = (bytes(&before), bytes(&page.next));
            self.largest = self.largest.max(new);
            let fits = is_first || new <= old || used - old + new <= MAX_OPEN_BYTES;
            is_first = false;
            match before {
                // A shard counts as begun only if all shards before it have begun.
                None if !fits || !left_out.is_empty() => left_out.push(shard),
                Some(before) if !fits => self.open.push((shard, before)),
                before => {
                    used = used - old + new;
                    items.extend(page.items);
                    if before.is_none() {
                        self.begun = Some(shard.hash);
                    }
                    match page.next {
                        Some(next) => self.open.push((shard, next)),
                        None => ended = true,
                    }
                }
            }
        }
        // 3. Shards without a place in this round, and shards with dropped pages, come later.
        self.open.extend(later);
        self.rest.extend(left_out.into_iter().rev());
        ended
    }
}

/// Divides a page into shares of one item or more, one for each shard.
fn shares(limit: usize, shards: usize) -> impl Iterator<Item = PageLimit> {
    let (share, more) = (limit / shards.max(1), limit % shards.max(1));
    let share =
        move |nth| PageLimit::new(share + usize::from(nth < more)).unwrap_or(PageLimit::MIN);
    (0..shards).map(share)
}
