//! What writers in another process know of their writes, and whether a store holds it.
//!
//! They print a line when they begin a write, and one when it was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Action, Consistency, EventId, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use tokio::task::JoinSet;

const WRITERS: u64 = 16;
const EVENTS: u64 = 5;
const USERS_OF_A_WRITER: u64 = 12;

fn event(n: u64) -> EventId {
    EventId::new(format!("event {n}")).unwrap()
}

fn user(writer: u64, n: u64) -> UserId {
    UserId::new(format!("user {n} of {writer}")).unwrap()
}

/// Writes for ever, with 16 writers on pairs of their own.
pub(crate) async fn write_for_ever(store: Arc<dyn RsvpStore>, seed: u64) {
    let writers: JoinSet<()> = (0..WRITERS)
        .map(|writer| {
            let random = StdRng::seed_from_u64(seed * WRITERS + writer);
            write(Arc::clone(&store), writer, random)
        })
        .collect();
    writers.join_all().await;
}

async fn write(store: Arc<dyn RsvpStore>, writer: u64, mut random: StdRng) {
    loop {
        let n = random.random_range(0..USERS_OF_A_WRITER);
        let e = random.random_range(0..EVENTS);
        let (user, event) = (user(writer, n), event(e));
        let (write, sign) = match random.random_bool(0.5) {
            true => (Write::rsvp(user, event), '+'),
            false => (Write::cancel(user, event), '-'),
        };
        println!("?{sign} {writer} {n} {e}");
        let receipt = store.write_batch(&[write], &WriteOptions::default()).await;
        receipt.unwrap().outcomes().unwrap();
        println!("!{sign} {writer} {n} {e}");
    }
}

/// The state of each pair: known after an acknowledged write, unknown while a write is under way.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pairs: BTreeMap<(u64, u64, u64), Option<Action>>,
    pub(crate) acknowledged: u64,
}

impl Ledger {
    /// Reads what a writer has printed. The last line may be cut off.
    pub(crate) fn read(&mut self, line: &str) {
        let mut fields = line.split_whitespace();
        let action = match fields.next() {
            Some("?+" | "?-") => None,
            Some("!+") => Some(Action::Rsvp),
            Some("!-") => Some(Action::Cancel),
            _ => return,
        };
        let mut number = || fields.next()?.parse().ok();
        let (Some(writer), Some(n), Some(e)) = (number(), number(), number()) else { return };
        self.acknowledged += u64::from(action.is_some());
        self.pairs.insert((writer, n, e), action);
    }

    /// The pairs that are not as their last acknowledged write left them.
    pub(crate) async fn lost(&self, store: &dyn RsvpStore) -> Vec<String> {
        let mut lost = Vec::new();
        for (&(writer, n, e), state) in &self.pairs {
            let held = store.has_rsvped(&user(writer, n), &event(e)).await.unwrap();
            if state.is_some_and(|action| held != (action == Action::Rsvp)) {
                lost.push(format!("{writer} {n} {e}: {state:?} was acknowledged, held: {held}"));
            }
        }
        lost
    }

    /// Checks that counts and lists agree with the pairs, and the names with both.
    pub(crate) async fn assert_consistent(&self, store: &dyn RsvpStore) {
        for e in 0..EVENTS {
            let mut held = 0;
            for &(writer, n, of) in self.pairs.keys() {
                if of == e && store.has_rsvped(&user(writer, n), &event(e)).await.unwrap() {
                    held += 1;
                }
            }
            let count = store.rsvp_count_with(&event(e), Consistency::Strong).await.unwrap();
            assert_eq!(count.value, held, "the count of event {e}");
        }
        assert_eq!(store.maintenance().unwrap().audit().await.unwrap().findings, []);
    }
}

/// What a number of rounds in the environment says, or the usual one.
pub(crate) fn rounds(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// A random moment, in milliseconds.
pub(crate) fn moment(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(0..120))
}
