//! Failed writes that take effect later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsvp_core::{Deadline, EventId, LabelName, Rsvp, UserId};

/// A part of a store that a write can change.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    Pair(Rsvp),
    Event(EventId),
    User(UserId),
    Label(LabelName),
}

impl Scope {
    /// Returns whether one write can undo the other.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pair(one), Self::Pair(other)) => one == other,
            (Self::Pair(pair), Self::Event(event)) | (Self::Event(event), Self::Pair(pair)) => {
                pair.event == *event
            }
            (Self::Pair(pair), Self::User(user)) | (Self::User(user), Self::Pair(pair)) => {
                pair.user == *user
            }
            (Self::Event(one), Self::Event(other)) => one == other,
            (Self::User(one), Self::User(other)) => one == other,
            // An event can have an RSVP of any user.
            (Self::Event(_), Self::User(_)) | (Self::User(_), Self::Event(_)) => true,
            (Self::Label(one), Self::Label(other)) => one == other,
            (Self::Label(_), _) | (_, Self::Label(_)) => false,
        }
    }
}

/// A failed write that may still take effect.
#[derive(Debug)]
struct Pending {
    scopes: Vec<Scope>,
    until: Deadline,
    has_landed: Arc<AtomicBool>,
}

impl Pending {
    fn is_settled(&self) -> bool {
        // The time alone does not settle a write. On a busy machine its task may run late.
        self.until.has_passed() && self.has_landed.load(Ordering::SeqCst)
    }
}

/// All writes with a pending effect.
#[derive(Debug, Default)]
pub(super) struct PendingWrites(Mutex<Vec<Pending>>);

impl PendingWrites {
    /// Returns whether a write of this scope has to be refused.
    pub(super) fn fence(&self, scope: &Scope) -> bool {
        self.unsettled().iter().flat_map(|one| &one.scopes).any(|other| other.overlaps(scope))
    }

    /// Adds a write. It is settled after `until`, once the returned flag is set.
    pub(super) fn add(&self, scopes: Vec<Scope>, until: Deadline) -> Arc<AtomicBool> {
        let has_landed = Arc::<AtomicBool>::default();
        self.unsettled().push(Pending { scopes, until, has_landed: Arc::clone(&has_landed) });
        has_landed
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<Pending>> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|one| !one.is_settled());
        pending
    }
}
