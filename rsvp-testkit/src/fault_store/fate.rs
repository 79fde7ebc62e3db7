//! The possible faults of a call, and the choice of one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::Operation;

/// The probabilities of each fault of a call. Their sum is at most 1. Each defaults to 0.
///
/// ```
/// use std::time::Duration;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::{FaultStore, Faults};
///
/// // One write in ten loses its answer, and one in five is slow.
/// let faults = Faults {
///     after: 0.1,
///     delay: 0.2,
///     longest_delay: Duration::from_millis(20),
///     ..Faults::default()
/// };
/// let store = FaultStore::new(MemoryStore::new(), rsvp_testkit::seed()).with_writes(faults);
/// assert_eq!(store.faults(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The call is refused before any effect: unavailable, or overloaded.
    pub before: f64,
    /// The call is done, but its answer is lost: unavailable, or timed out.
    /// A write has unknown effect.
    pub after: f64,
    /// About half of the entries of a batch fail, each before or after its effect,
    /// and the others hold. All writes of a pair have the same fault.
    /// A call without entries has no fault.
    pub partial: f64,
    /// A write fails with a [pending](rsvp_core::Effect::Pending) effect, and takes effect later.
    /// Until it is settled, every later write that it could undo is refused, before any effect.
    /// A read has no fault.
    pub late: f64,
    /// The longest time of a pending effect.
    pub longest_pending: Duration,
    /// The call is neither done nor answered, for ever.
    pub hang: f64,
    /// The call is done later, by up to [`longest_delay`](Self::longest_delay).
    pub delay: f64,
    /// The longest delay.
    pub longest_delay: Duration,
}

/// The fault of one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Before { overloaded: bool },
    After { timed_out: bool },
    Partial(Lot),
    Late(LateTimes),
    Hang,
    Delay(Duration),
    Nothing,
}

/// The times of a late write, from its failure on: its effect, and the moment of settling.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateTimes {
    pub(super) lands_after: Duration,
    /// The latest time of its effect.
    /// It is well before the moment of settling, because a busy machine wakes tasks late.
    pub(super) lands_within: Duration,
    pub(super) pending_for: Duration,
}

impl Fate {
    /// Draws the fault of a call.
    pub(super) fn draw(faults: &Faults, operation: Operation, random: &mut StdRng) -> Self {
        // The number of draws is fixed, so a fault does not change the fates of later calls.
        let (mut chance, one_of_two) = (random.random::<f64>(), random.random::<bool>());
        let (share, lot) = (random.random::<f64>(), Lot(random.random()));
        let mut is = |probability: f64| {
            chance -= probability;
            chance < 0.0
        };
        if is(faults.before) {
            Self::Before { overloaded: one_of_two }
        } else if is(faults.after) {
            Self::After { timed_out: one_of_two }
        } else if is(faults.partial) {
            let has_entries =
                matches!(operation, Operation::Write | Operation::HasRsvped | Operation::RsvpCount);
            if has_entries { Self::Partial(lot) } else { Self::Nothing }
        } else if is(faults.late) {
            let pending_for = faults.longest_pending.mul_f64(0.5 + share / 2.0);
            let times = LateTimes {
                lands_after: pending_for.mul_f64(0.5),
                lands_within: pending_for.mul_f64(0.75),
                pending_for,
            };
            if operation.is_write() { Self::Late(times) } else { Self::Nothing }
        } else if is(faults.hang) {
            Self::Hang
        } else if is(faults.delay) {
            Self::Delay(faults.longest_delay.mul_f64(share))
        } else {
            Self::Nothing
        }
    }

    /// Returns the fault of an entry in a batch with this fault.
    pub(super) fn of_entry(self, entry: &impl Hash) -> EntryFate {
        match self {
            Self::Partial(lot) => lot.of(entry),
            _ => EntryFate::Holds,
        }
    }
}

/// Decides the faults of the entries of one batch. Equal entries have the same fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot(u64);

/// The fault of an entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryFate {
    Holds,
    Before,
    After,
}

impl Lot {
    fn of(self, entry: &impl Hash) -> EntryFate {
        // The entry decides and not its place, so duplicates of a pair share their fate.
        let mut hasher = DefaultHasher::new();
        (self.0, entry).hash(&mut hasher);
        match hasher.finish() % 4 {
            0 | 1 => EntryFate::Holds,
            2 => EntryFate::Before,
            _ => EntryFate::After,
        }
    }
}
