//! The round trips that the calls of a store cost.

use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{
    EventId, Operation, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, UserId, Write,
    WriteOptions,
};

use super::{Proxy, Turns};
use crate::calls::all;

/// The time that a byte takes through the proxies, so that a pipeline of many entries is sent before
/// its first answer arrives.
const DELAY: Duration = Duration::from_millis(100);

/// Calls at once before anything is counted: more than the connections of a store.
const WARM_UP: usize = 16;

/// Single calls, of which the most expensive counts: in a cluster it depends on their ids which
/// nodes they need.
const SINGLE: usize = 12;

/// The round trips of one operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cost {
    /// The operation.
    pub operation: Operation,
    /// The number of entries of a batch, or the limit of a page, and its round trips.
    pub turns: Vec<(usize, Turns)>,
}

impl Cost {
    /// Whether the longest conversation has the same number of turns for all numbers of entries.
    pub fn is_fixed(&self) -> bool {
        self.turns.windows(2).all(|pair| match pair {
            [(_, one), (_, other)] => one.longest == other.longest,
            _ => true,
        })
    }

    /// The most turns of one connection.
    pub fn longest(&self) -> usize {
        self.turns.iter().map(|(_, turns)| turns.longest).max().unwrap_or_default()
    }
}

/// Counts the round trips of batches of these numbers of entries, and of pages with these limits.
///
/// The store reaches its servers through these proxies alone, and has fewer than 16 connections to
/// each. All are opened and used before anything is counted.
pub async fn round_trips(
    store: &dyn RsvpStore,
    proxies: &[&Proxy],
    entries: &[usize],
) -> Vec<Cost> {
    let largest = entries.iter().copied().max().unwrap_or_default();
    for proxy in proxies {
        proxy.set_delay(DELAY);
    }
    // Calls at once, so that every connection learns every statement. The delay keeps each of them
    // busy until the others have found one of their own.
    for operation in OPERATIONS {
        call(store, operation, largest, 0).await;
        // A store may ask otherwise about one entry than about several.
        for number in [1, 2] {
            join_all((0..WARM_UP).map(|_| call(store, operation, number, 0))).await;
            // One after another as well: a store that keeps some connections for other calls uses
            // them in turn all the same.
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

/// The operations whose cost is promised.
const OPERATIONS: [Operation; 5] = [
    Operation::Write,
    Operation::HasRsvped,
    Operation::RsvpCount,
    Operation::Attendees,
    Operation::EventsOf,
];

/// The round trips of a call, and of the same once more, whichever has fewer: now and then a store
/// tests a connection before it uses it.
async fn cheaper_of_two(
    store: &dyn RsvpStore,
    proxies: &[&Proxy],
    operation: Operation,
    number: usize,
    begin: usize,
) -> Turns {
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

/// Every pair is of the hot event or of the busy user, which have long lists so.
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

/// One call about this number of entries, the first of which is `begin`.
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
