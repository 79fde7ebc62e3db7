//! The faults that a call can meet, and the one that it does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::Operation;

/// The probabilities of each fault of a call. They add up to 1 at most and default to 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Refused, before any effect: unavailable, or overloaded.
    pub before: f64,
    /// Done, but the answer is lost: unavailable, or timed out, a write with unknown effect.
    pub after: f64,
    /// About half of the entries of a batch fail, each before or after its effect, and the others
    /// hold. All writes of a pair meet the same. A call without entries meets no fault.
    pub partial: f64,
    /// A write fails with a [pending](rsvp_core::Effect::Pending) effect, and takes effect later.
    /// Until it is settled every later write that it could undo is refused, before any effect. A
    /// read meets no fault.
    pub late: f64,
    /// The longest time for which an effect is pending.
    pub longest_pending: Duration,
    /// Neither done nor answered, for ever.
    pub hang: f64,
    /// Done later, by up to [`longest_delay`](Self::longest_delay).
    pub delay: f64,
    /// The longest delay.
    pub longest_delay: Duration,
}

/// The fate of one call.
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

/// When a write that is late takes effect, and when that is settled, from its failure on.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateTimes {
    pub(super) lands_after: Duration,
    /// It does not take effect later than this, which is well before it is settled, since a busy
    /// machine wakes nobody in time.
    pub(super) lands_within: Duration,
    pub(super) pending_for: Duration,
}

impl Fate {
    /// Draws the fate of a call that [`Faults`] are for.
    pub(super) fn draw(faults: &Faults, operation: Operation, random: &mut StdRng) -> Self {
        // Always as many draws, so that a fault does not change the fate of later calls.
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

    /// What an entry of a batch with this fate meets.
    pub(super) fn of_entry(self, entry: &impl Hash) -> EntryFate {
        match self {
            Self::Partial(lot) => lot.of(entry),
            _ => EntryFate::Holds,
        }
    }
}

/// Decides what the entries of one batch meet, the same for equal ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot(u64);

/// What an entry of a batch meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryFate {
    Holds,
    Before,
    After,
}

impl Lot {
    fn of(self, entry: &impl Hash) -> EntryFate {
        let mut hasher = DefaultHasher::new();
        (self.0, entry).hash(&mut hasher);
        match hasher.finish() % 4 {
            0 | 1 => EntryFate::Holds,
            2 => EntryFate::Before,
            _ => EntryFate::After,
        }
    }
}
