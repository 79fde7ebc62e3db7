//! The round trips of a store's calls.

use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{
    EventId, Operation, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, UserId, Write,
    WriteOptions,
};

use super::{Proxy, Turns};
use crate::calls::all;

/// The delay of a byte in the proxies.
/// It is long enough to send a pipeline of many entries before its first answer arrives.
const DELAY: Duration = Duration::from_millis(100);

/// The number of concurrent calls before the count begins.
/// It exceeds the number of connections of a store.
const WARM_UP: usize = 16;

/// The number of single calls.
/// The most expensive one counts, because in a cluster the ids decide about the nodes of a call.
const SINGLE: usize = 12;

/// The round trips of one operation.
///
/// ```
/// use rsvp_testkit::servers::Cost;
///
/// /// Checks that no operation costs more round trips for more entries.
/// fn assert_fixed(costs: &[Cost]) {
///     assert!(costs.iter().all(Cost::is_fixed));
/// }
/// assert_fixed(&[]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cost {
    /// The operation.
    pub operation: Operation,
    /// The number of entries of a batch, or the limit of a page, each with its round trips.
    pub turns: Vec<(usize, Turns)>,
}

impl Cost {
    /// Returns whether the longest conversation has the same number of turns for all numbers
    /// of entries.
    pub fn is_fixed(&self) -> bool {
        self.turns.windows(2).all(|pair| match pair {
            [(_, one), (_, other)] => one.longest == other.longest,
            _ => true,
        })
    }

    /// Returns the greatest number of turns of one connection.
    pub fn longest(&self) -> usize {
        self.turns.iter().map(|(_, turns)| turns.longest).max().unwrap_or_default()
    }
}

/// Counts the round trips of batches of these numbers of entries, and of pages with these limits.
///
/// These proxies are the only way of the store to its servers,
/// and it has fewer than 16 connections to each.
/// All are opened and used before the count begins.
pub async fn round_trips(
    store: &dyn RsvpStore,
    proxies: &[&Proxy],
    entries: &[usize],
) -> Vec<Cost> {
    let largest = entries.iter().copied().max().unwrap_or_default();
    for proxy in proxies {
        proxy.set_delay(DELAY);
    }
    // Make concurrent calls, so that every connection prepares every statement.
    // The delay keeps each connection busy until the others are open.
    for operation in OPERATIONS {
        call(store, operation, largest, 0).await;
        // A store may use other statements for one entry than for several.
        for number in [1, 2] {
            join_all((0..WARM_UP).map(|_| call(store, operation, number, 0))).await;
            // Make calls one after another, too.
            // A store that keeps some connections for other calls uses them in turn as well.
            for _ in 0..WARM_UP / 2 {
                call(store, operation, number, 0).await;
            }
        }
    }

    let mut costs = Vec::new();
    for operation in OPERATIONS {
        let mut turns = Vec::new();
        for number in entries {
            let samples = if *number == 1 { SINGLE } else { 1 };
            let mut most = Turns::default();
            for sample in 0..samples {
                let cheaper = cheaper_of_two(store, proxies, operation, *number, sample).await;
                most.total = most.total.max(cheaper.total);
                most.longest = most.longest.max(cheaper.longest);
            }
            turns.push((*number, most));
        }
        costs.push(Cost { operation, turns });
    }
    for proxy in proxies {
        proxy.set_delay(Duration::ZERO);
    }
    costs
}

/// The operations with a promised cost.
const OPERATIONS: [Operation; 5] = [
    Operation::Write,
    Operation::HasRsvped,
    Operation::RsvpCount,
    Operation::Attendees,
    Operation::EventsOf,
];

/// Returns the round trips of a call, or of its repetition if that has fewer.
/// Sometimes a store tests a connection before it uses it.
async fn cheaper_of_two(
    store: &dyn RsvpStore,
    proxies: &[&Proxy],
    operation: Operation,
    number: usize,
    begin: usize,
) -> Turns {
    // Forget the turns of earlier calls, such as the warm-up.
    take(proxies);
    call(store, operation, number, begin).await;
    let first = take(proxies);
    call(store, operation, number, begin).await;
    let second = take(proxies);
    if second.total < first.total { second } else { first }
}

fn take(proxies: &[&Proxy]) -> Turns {
    proxies.iter().map(|proxy| proxy.take_turns()).fold(Turns::default(), Turns::and)
}

/// Makes pairs of the hot event or of the busy user, so that these have long lists.
fn pair(n: usize) -> Rsvp {
    match n % 2 {
        0 => Rsvp::new(user(n), event(0)),
        _ => Rsvp::new(user(1), event(n)),
    }
}

fn user(n: usize) -> UserId {
    UserId::from(n as u64)
}

fn event(n: usize) -> EventId {
    EventId::from(n as u64)
}

/// Makes one call with this number of entries. The first entry is `begin`.
async fn call(store: &dyn RsvpStore, operation: Operation, number: usize, begin: usize) {
    let numbers = begin..begin + number;
    let limit = PageLimit::new(number.min(PageLimit::MAX.get())).expect("a limit");
    let page = PageRequest::default().with_limit(limit);
    match operation {
        Operation::Write => {
            let rsvp = |pair: Rsvp| Write::rsvp(pair.user, pair.event);
            let writes: Vec<Write> = numbers.map(pair).map(rsvp).collect();
            let receipt = store.write_batch(&writes, &WriteOptions::default()).await;
            receipt.and_then(|receipt| receipt.outcomes()).expect("writes");
        }
        Operation::HasRsvped => {
            let pairs: Vec<Rsvp> = numbers.map(pair).collect();
            all(store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await);
        }
        Operation::RsvpCount => {
            let events: Vec<EventId> = numbers.map(event).collect();
            all(store.rsvp_count_batch(&events, &ReadOptions::strong()).await);
        }
        Operation::Attendees => drop(store.attendees_page(&event(0), &page).await.expect("a page")),
        Operation::EventsOf => drop(store.events_of_page(&user(1), &page).await.expect("a page")),
        _ => unreachable!("no operation whose cost is counted"),
    }
}
