//! Lists over shards: at once, complete, no longer than asked for, and of one placement.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{Shard, ShardedStore};
use rsvp_core::{
    Cursor, Error, EventId, Operation, Page, PageLimit, PageRequest, Result, Rsvp, RsvpStore,
    RsvpStoreExt, UserId, Write, async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{Stub, Stubbed};
use tokio::time::Instant;

use crate::probe::Reaction;
use crate::shard::{failed_shard, sharded};
use crate::{event, user, write_all};

/// The time of a call to a shard.
const TRIP: Duration = Duration::from_millis(10);

/// The work of all shards together.
#[derive(Debug, Default)]
struct Work {
    items: AtomicUsize,
    calls: AtomicUsize,
}

/// A shard of a server some way off.
#[derive(Debug)]
struct Far {
    store: Arc<MemoryStore>,
    work: Arc<Work>,
}

impl Far {
    async fn page<T>(&self, page: impl Future<Output = Result<Page<T>>>) -> Result<Page<T>> {
        self.work.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(TRIP).await;
        let page = page.await?;
        self.work.items.fetch_add(page.items.len(), Ordering::SeqCst);
        Ok(page)
    }
}

#[async_trait]
impl Stub for Far {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.page(self.store.attendees_page(event, request)).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page(self.store.events_of_page(user, request)).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.page(self.store.scan_page(request)).await
    }
}

fn far(shards: usize, spread: usize) -> (ShardedStore<Stubbed<Far>>, Arc<Work>) {
    let work = Arc::<Work>::default();
    let shards = (0..shards).map(|n| {
        let far = Far { store: Arc::default(), work: work.clone() };
        Shard::new(&format!("s{n}"), Stubbed(far))
    });
    (ShardedStore::new(shards, spread).unwrap(), work)
}

fn pages_of(limit: usize) -> PageRequest {
    PageRequest::default().with_limit(PageLimit::new(limit).unwrap())
}

/// One page of a listing, with the time and the work that it took.
struct Paged {
    items: usize,
    fetched: usize,
    calls: usize,
    time: Duration,
}

/// All pages of a listing, and their items.
async fn all_pages<T>(
    work: &Work,
    limit: usize,
    read: impl AsyncFn(PageRequest) -> Result<Page<T>>,
) -> (Vec<Paged>, Vec<T>) {
    let (mut pages, mut items) = (Vec::new(), Vec::new());
    let mut request = pages_of(limit);
    loop {
        let began = Instant::now();
        let page = read(request.clone()).await.unwrap();
        assert!(page.items.len() <= limit, "{} of {limit}", page.items.len());
        pages.push(Paged {
            items: page.items.len(),
            fetched: work.items.swap(0, Ordering::SeqCst),
            calls: work.calls.swap(0, Ordering::SeqCst),
            time: began.elapsed(),
        });
        items.extend(page.items);
        let Some(next) = page.next else { return (pages, items) };
        assert!(next.to_string().len() <= Cursor::MAX_BYTES);
        request.cursor = Some(next);
    }
}

#[tokio::test(start_paused = true)]
async fn the_attendees_of_an_event_on_eight_shards_cost_one_trip_a_page() {
    let (store, work) = far(8, 8);
    let fair = event(1_u64);
    let writes: Vec<_> = (0..10_000_u32).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    write_all(&store, &writes).await.unwrap();
    let read = async |request| store.attendees_page(&fair, &request).await;
    let (pages, attendees) = all_pages(&work, 400, read).await;
    assert_eq!(attendees.into_iter().collect::<BTreeSet<_>>().len(), 10_000);
    let full = pages.iter().take_while(|page| page.items == 400);
    assert!(full.count() >= 20, "of 25 pages, most are full");
    for page in &pages {
        assert_eq!(page.fetched, page.items, "nothing is thrown away");
        assert!(page.items < 400 || page.time < 2 * TRIP, "{:?}", page.time);
    }
    let all: Duration = pages.iter().map(|page| page.time).sum();
    assert!(all <= 35 * TRIP, "{all:?} for 10,000 attendees in pages of 400");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_user_cost_one_trip_and_their_number() {
    let (store, work) = far(64, 1);
    let ann = user(1_u64);
    for n in 0..50_u32 {
        store.rsvp(&ann, &event(n)).await.unwrap();
    }
    let read = async |request| store.events_of_page(&ann, &request).await;
    let (pages, events) = all_pages(&work, 1000, read).await;
    assert_eq!((pages.len(), events.len()), (1, 50));
    assert!(pages[0].time < 2 * TRIP, "{:?}", pages[0].time);
    assert_eq!((pages[0].fetched, pages[0].calls), (50, 64), "each shard once");
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_a_user_fetches_what_it_returns() {
    let (store, work) = far(8, 1);
    let ann = user(1_u64);
    let writes: Vec<_> = (0..5000_u32).map(|n| Write::rsvp(ann.clone(), event(n))).collect();
    write_all(&store, &writes).await.unwrap();
    let read = async |request| store.events_of_page(&ann, &request).await;
    let (pages, events) = all_pages(&work, 500, read).await;
    assert_eq!(events.into_iter().collect::<BTreeSet<_>>().len(), 5000);
    let time: Duration = pages.iter().map(|page| page.time).sum();
    assert!(time <= 20 * TRIP, "{time:?} for 5,000 events in pages of 500");
    assert!(pages.iter().all(|page| page.fetched == page.items));
}

#[tokio::test(start_paused = true)]
async fn a_scan_reads_one_shard_after_another_in_whole_pages() {
    let (store, work) = far(8, 1);
    let writes: Vec<_> = (0..8000_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    write_all(&store, &writes).await.unwrap();
    let read = async |request| store.scan_page(&request).await;
    let (pages, rsvps) = all_pages(&work, 100, read).await;
    assert_eq!(rsvps.into_iter().collect::<BTreeSet<_>>().len(), 8000);
    let calls: usize = pages.iter().map(|page| page.calls).sum();
    assert!(calls <= 80 + 2 * 8, "{calls} calls for 80 pages of 8 shards");
}

/// A store that answers a few items at a time, or none, however many are asked for.
#[derive(Debug)]
struct Stingy {
    store: Arc<MemoryStore>,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Stub for Stingy {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call.is_multiple_of(3) {
            // An empty page that is not the last.
            let position = request.cursor.clone().unwrap_or(Cursor::new([0]));
            return Ok(Page::new(vec![], Some(position)));
        }
        let begin = request.cursor.clone().filter(|cursor| cursor.as_bytes() != [0]);
        let request = request.clone().with_cursor(begin).with_limit(PageLimit::new(2).unwrap());
        self.store.attendees_page(event, &request).await
    }
}

#[tokio::test]
async fn shards_that_answer_short_or_empty_pages_end_in_short_pages() {
    let calls = Arc::<AtomicUsize>::default();
    let shards = (0..4).map(|n| {
        let stingy = Stingy { store: Arc::default(), calls: calls.clone() };
        Shard::new(&format!("s{n}"), Stubbed(stingy))
    });
    let store = ShardedStore::new(shards, 4).unwrap();
    let fair = event(1_u64);
    let writes: Vec<_> = (0..100_u32).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    write_all(&store, &writes).await.unwrap();
    let (mut request, mut listed) = (pages_of(100), BTreeSet::new());
    for _ in 0..1000 {
        let before = calls.load(Ordering::SeqCst);
        let page = store.attendees_page(&fair, &request).await.unwrap();
        listed.extend(page.items);
        let asked = calls.load(Ordering::SeqCst) - before;
        assert!(asked <= 4 * 4, "{asked} calls: one round, and one for each shard that ended");
        let Some(next) = page.next else { break };
        request.cursor = Some(next);
    }
    assert_eq!(listed.len(), 100);
}

/// Ids of the greatest length make cursors of which few fit into that of a listing.
#[derive(Debug)]
struct LongCursors {
    store: Arc<MemoryStore>,
    bytes: usize,
    work: Arc<Work>,
}

#[async_trait]
impl Stub for LongCursors {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let cursor = request.cursor.as_ref().map(|cursor| cursor.as_bytes());
        let cursor = cursor.map(|bytes| Cursor::new(&bytes[..bytes.len() - self.bytes]));
        let page = self.store.attendees_page(event, &request.clone().with_cursor(cursor)).await?;
        self.work.items.fetch_add(page.items.len(), Ordering::SeqCst);
        let longer =
            |next: Cursor| Cursor::new([next.as_bytes(), vec![0; self.bytes].as_slice()].concat());
        Ok(Page::new(page.items, page.next.map(longer)))
    }
}

#[tokio::test]
async fn cursors_are_bounded_however_long_those_of_the_shards_are() {
    for bytes in [0, 100, 250, 500, 2000] {
        let work = Arc::<Work>::default();
        let shards = (0..40).map(|n| {
            let store = LongCursors { store: Arc::default(), bytes, work: work.clone() };
            Shard::new(&format!("s{n}"), Stubbed(store))
        });
        let store = ShardedStore::new(shards, 40).unwrap();
        let fair = event(1_u64);
        // Every second shard has few attendees, and ends before those in front of it.
        let mut users = 0..4000_u32;
        for (n, shard) in store.shards().iter().enumerate() {
            let few = if n.is_multiple_of(2) { 195 } else { 5 };
            let writes = users.by_ref().take(few).map(|n| Write::rsvp(user(n), fair.clone()));
            write_all(shard.get_ref(), &writes.collect::<Vec<_>>()).await.unwrap();
        }
        let (mut request, mut listed) = (pages_of(160), Vec::new());
        loop {
            let page = store.attendees_page(&fair, &request).await.unwrap();
            listed.extend(page.items);
            let Some(next) = page.next else { break };
            // Those of memory have 17 bytes, and each is stored with ten more.
            let longest = 17 + 1024 + 10 + 17 + bytes;
            assert!(next.as_bytes().len() <= longest, "{bytes}: {}", next.as_bytes().len());
            request.cursor = Some(next);
        }
        let fetched = work.items.load(Ordering::SeqCst);
        assert_eq!(listed.len(), 4000, "{bytes}: each once");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>().len(), 4000);
        // Ids of 255 bytes make cursors of less than 300. Shards of shards may make longer ones.
        let most = if bytes <= 250 { 4000 * 3 / 2 } else { 4000 * 5 / 2 };
        assert!(fetched <= most, "{bytes}: {fetched} items for 4,000");
    }
}

/// Whatever is there all the time is listed, at any page size, while others come and go.
#[tokio::test]
async fn lists_are_complete_while_others_write() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        let shards = random.random_range(1..24);
        let (store, _probes) = sharded(shards, random.random_range(1..=shards));
        let store = &store;
        let (fair, ann) = (event(1_u64), user(1_u64));
        let (fair, ann) = (&fair, &ann);
        let count = random.random_range(0..300_u32);
        let stays = |n: u32| n.is_multiple_of(2);
        let pairs =
            (0..count).flat_map(|n| [(user(n + 10), fair.clone()), (ann.clone(), event(n + 10))]);
        let writes: Vec<_> = pairs.map(|(user, event)| Write::rsvp(user, event)).collect();
        write_all(store, &writes).await.unwrap();
        let limit = random.random_range(1..60);
        let random = Mutex::new(&mut random);
        // Writes between two pages, and none to those that stay.
        let meddle = || async {
            for _ in 0..10 {
                let (n, joins) = {
                    let mut random = random.lock().unwrap();
                    (random.random_range(0..count.max(1)), random.random::<bool>())
                };
                if stays(n) {
                    continue;
                }
                for (user, event) in [(&user(n + 10), fair), (ann, &event(n + 10))] {
                    match joins {
                        true => drop(store.rsvp(user, event).await.unwrap()),
                        false => drop(store.cancel(user, event).await.unwrap()),
                    }
                }
            }
        };
        let request = pages_of(limit);
        let attendees =
            listed(request.clone(), &meddle, async |page| store.attendees_page(fair, &page).await);
        let attendees: BTreeSet<_> = attendees.await.into_iter().collect();
        let events =
            listed(request.clone(), &meddle, async |page| store.events_of_page(ann, &page).await);
        let events: BTreeSet<_> = events.await.into_iter().collect();
        let rsvps = listed(request, &meddle, async |page| store.scan_page(&page).await);
        let rsvps: BTreeSet<_> = rsvps.await.into_iter().collect();
        for n in (0..count).filter(|n| stays(*n)) {
            let (user, event) = (user(n + 10), event(n + 10));
            assert!(attendees.contains(&user), "{round}: {user} of {shards} shards");
            assert!(events.contains(&event), "{round}: {event} of {shards} shards");
            assert!(rsvps.contains(&Rsvp::new(user, fair.clone())), "{round}");
            assert!(rsvps.contains(&Rsvp::new(ann.clone(), event)), "{round}");
        }
    }
}

/// All items of a listing, with something done between any two pages.
async fn listed<T, M: Future<Output = ()>>(
    mut request: PageRequest,
    between: impl Fn() -> M,
    read: impl AsyncFn(PageRequest) -> Result<Page<T>>,
) -> Vec<T> {
    let mut items = Vec::new();
    loop {
        let page = read(request.clone()).await.unwrap();
        assert!(page.items.len() <= request.limit.get());
        items.extend(page.items);
        let Some(next) = page.next else { return items };
        // A cursor travels as a text.
        request.cursor = Some(next.to_string().parse().unwrap());
        between().await;
    }
}

#[tokio::test]
async fn a_list_that_lacks_a_shard_is_an_error_that_names_it() {
    let (store, probes) = sharded(20, 20);
    let fair = event(1_u64);
    let writes: Vec<_> = (0..2000_u32).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    write_all(&store, &writes).await.unwrap();
    let request = pages_of(100);
    let next = store.attendees_page(&fair, &request).await.unwrap().next;
    let request = request.with_cursor(next);
    let (before, mut failed) = (store.attendees_page(&fair, &request).await.unwrap(), 0);
    for (n, probe) in probes.iter().enumerate() {
        let down = Error::overloaded(Operation::Attendees);
        probe.react([Reaction::Fail(down)]);
        match store.attendees_page(&fair, &request).await {
            Err(error) => {
                assert_eq!(failed_shard(&error), format!("s{n}"));
                failed += 1;
            }
            // It was not its turn. The call makes up for the one above.
            Ok(_) => drop(probe.attendees_page(&fair, &request).await),
        }
        let again = store.attendees_page(&fair, &request).await.unwrap();
        assert_eq!(again, before, "the cursor may be used again");
    }
    assert!(failed >= 10, "{failed} shards are open at a time");
}

/// The cursor of every listing.
async fn cursors(store: &dyn RsvpStore) -> [Option<Cursor>; 3] {
    let request = pages_of(3);
    [
        store.attendees_page(&event(1_u64), &request).await.unwrap().next,
        store.events_of_page(&user(1_u64), &request).await.unwrap().next,
        store.scan_page(&request).await.unwrap().next,
    ]
}

#[tokio::test]
async fn a_cursor_of_another_placement_is_refused() {
    let stores: Vec<Arc<MemoryStore>> = (0..4).map(|_| Arc::default()).collect();
    let sharded = |named: &str, spread| {
        let shards = named.split(' ').zip(&stores).map(|(name, store)| {
            let (name, weight) = name.split_once('*').unwrap_or((name, "1"));
            Shard::new(name, store.clone()).with_weight(weight.parse().unwrap())
        });
        ShardedStore::new(shards, spread).unwrap()
    };
    let old = sharded("a b c", 2);
    let pairs = (0..60_u32).flat_map(|n| [(user(n), event(1_u64)), (user(1_u64), event(n))]);
    let writes: Vec<_> = pairs.map(|(user, event)| Write::rsvp(user, event)).collect();
    write_all(&old, &writes).await.unwrap();
    let cursors = cursors(&old).await.map(Option::unwrap);
    let refused = |page: Result<usize>| match page {
        Err(Error::InvalidInput { field, .. }) => field == "cursor",
        _ => false,
    };
    let tried = async |store: &dyn RsvpStore| {
        let [attendees, events, scan] =
            cursors.clone().map(|cursor| pages_of(3).with_cursor(cursor));
        [
            store.attendees_page(&event(1_u64), &attendees).await.map(|page| page.items.len()),
            store.events_of_page(&user(1_u64), &events).await.map(|page| page.items.len()),
            store.scan_page(&scan).await.map(|page| page.items.len()),
        ]
        .map(refused)
    };
    assert_eq!(tried(&old).await, [false; 3]);
    assert_eq!(tried(&sharded("a b c", 2)).await, [false; 3], "as another process has it");
    for (named, spread) in
        [("a b c", 1), ("a b c", 3), ("a b*2 c", 2), ("a b c d", 2), ("a b", 2), ("a b d", 2)]
    {
        assert_eq!(tried(&sharded(named, spread)).await, [true; 3], "{named}, spread {spread}");
    }
}

#[tokio::test]
async fn any_cursor_is_read_or_refused() {
    let (store, _probes) = sharded(20, 20);
    let writes: Vec<_> = (0..500_u32).map(|n| Write::rsvp(user(n), event(1_u64))).collect();
    write_all(&store, &writes).await.unwrap();
    let cursor = store.attendees_page(&event(1_u64), &pages_of(50)).await.unwrap().next.unwrap();
    let bytes = cursor.as_bytes();
    for at in 0..bytes.len() {
        for changed in
            [bytes[..at].to_vec(), [&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat()]
        {
            let request = pages_of(50).with_cursor(Cursor::new(changed));
            if let Err(error) = store.attendees_page(&event(1_u64), &request).await {
                let refused = matches!(error, Error::InvalidInput { field: "cursor", .. });
                assert!(refused, "{error}");
            }
        }
    }
}

#[allow(dead_code, reason = "checked by compiling")]
fn lists_can_be_sent(store: &ShardedStore<Arc<dyn RsvpStore>>, event: &EventId) {
    fn is_send(_: impl Stream + Send) {}
    is_send(store.attendees(event).map_ok(|_| ()));
}
