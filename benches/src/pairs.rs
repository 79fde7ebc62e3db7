//! The pairs that benchmarks write and ask for: 13-byte ids in no order an index would like.

use std::sync::atomic::{AtomicU64, Ordering};

use rsvp_core::{EventId, Rsvp, UserId, Write};

/// A stream of pairs that never repeats (unless its users are limited), over a fixed number of
/// events.
///
/// The same number always gives the same pair. Users are all different and come in no order;
/// events are drawn evenly.
#[derive(Debug)]
pub struct Pairs {
    events: u64,
    /// How many users there are, if not one for each pair.
    users: Option<u64>,
    taken: AtomicU64,
}

impl Pairs {
    /// Pairs of `events` events, from the first on.
    pub fn of(events: u64) -> Self {
        Self { events, users: None, taken: AtomicU64::new(0) }
    }

    /// The same events with only so many users; a pair may then come twice.
    #[must_use]
    pub fn with_users(self, users: u64) -> Self {
        Self { users: Some(users), ..self }
    }

    /// The `n`-th pair.
    pub fn nth(&self, n: u64) -> Rsvp {
        // Coprime to 10^12, so the products are a permutation of the twelve-digit numbers.
        let user = match self.users {
            Some(users) => u128::from(scattered(!n) % users),
            None => u128::from(n) * 618_033_988_749 % 1_000_000_000_000,
        };
        let user = UserId::new(format!("u{user:012}")).expect("a legal id");
        Rsvp::new(user, Self::event(scattered(n) % self.events))
    }

    /// The next `count` pairs as writes; no two callers get the same.
    pub fn take(&self, count: usize) -> Vec<Write> {
        let count = count as u64;
        let first = self.taken.fetch_add(count, Ordering::Relaxed);
        let pairs = (first..first + count).map(|n| self.nth(n));
        pairs.map(|Rsvp { user, event }| Write::rsvp(user, event)).collect()
    }

    /// The number of the next pair, which counts as taken.
    pub fn number(&self) -> u64 {
        self.taken.fetch_add(1, Ordering::Relaxed)
    }

    /// How many have been taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The `n`-th event.
    pub fn event(n: u64) -> EventId {
        EventId::new(format!("e{n:012}")).expect("a legal id")
    }

    /// `count` numbers below `limit`, evenly drawn; others with every call.
    pub fn draw(&self, count: usize, limit: u64) -> impl Iterator<Item = u64> {
        let first = self.taken.fetch_add(count as u64, Ordering::Relaxed);
        (first..first + count as u64).map(move |n| scattered(n) % limit)
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): the same number for the same `n`, and no visible
/// relation between neighbours.
fn scattered(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
