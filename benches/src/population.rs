//! A fixed population of users, whose writes leave as many RSVPs behind as they found.

use std::sync::atomic::{AtomicU64, Ordering};

use rsvp_core::{Rsvp, UserId, Write};

use crate::Pairs;

/// A stream of writes by a fixed number of users: each RSVPs once, to one of a number of events,
/// and when all have, each cancels that, and so on.
#[derive(Debug)]
pub struct Population {
    events: u64,
    users: u64,
    taken: AtomicU64,
}

impl Population {
    /// `users` is not a multiple of the prime 7,919.
    pub fn of(users: u64, events: u64) -> Self {
        Self { events, users, taken: AtomicU64::new(0) }
    }

    /// The next `count` writes; no two callers get the same.
    pub fn take(&self, count: usize) -> Vec<Write> {
        let count = count as u64;
        let first = self.taken.fetch_add(count, Ordering::Relaxed);
        (first..first + count).map(|n| self.nth(n)).collect()
    }

    fn nth(&self, n: u64) -> Write {
        let (pass, place) = (n / self.users, n % self.users);
        // Users come in no order; all of them in each pass.
        let number = place * 7_919 % self.users;
        let user = UserId::new(format!("u{number:012}")).expect("a legal id");
        let event = Pairs::event(number.wrapping_mul(0x9e37_79b9) % self.events);
        match pass % 2 {
            0 => Write::rsvp(user, event),
            _ => Write::cancel(user, event),
        }
    }

    /// The pairs that the writes so far have left.
    pub fn present(&self) -> impl Iterator<Item = Rsvp> {
        let taken = self.taken.load(Ordering::Relaxed);
        let (pass, place) = (taken / self.users, taken % self.users);
        let places = if pass % 2 == 0 { 0..place } else { place..self.users };
        places.map(move |place| self.nth(place).rsvp)
    }
}
