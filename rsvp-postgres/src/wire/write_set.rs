//! The write set of a call, which is the data that it changes.

use std::collections::HashSet;

use rsvp_core::{EventId, LabelName, UserId, Write};

/// The data that a call changes.
///
/// An unsettled attempt may still change its data.
/// A later change of the same data must wait until the attempt is settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteSet {
    /// The events whose RSVPs are written or removed.
    events: HashSet<EventId>,
    /// The users whose RSVPs are written.
    users: HashSet<UserId>,
    /// The user whose RSVPs are removed, from any event.
    removed_user: Option<UserId>,
    label: Option<LabelName>,
}

impl WriteSet {
    /// Makes the write set of writes of single RSVPs.
    pub(crate) fn of_writes<'a>(writes: impl Iterator<Item = &'a Write>) -> Self {
        let (events, users) =
            writes.map(|Write { rsvp, .. }| (rsvp.event.clone(), rsvp.user.clone())).unzip();
        Self { events, users, ..Self::default() }
    }

    /// Makes the write set of the removal of an event.
    pub(crate) fn of_event(event: &EventId) -> Self {
        Self { events: HashSet::from([event.clone()]), ..Self::default() }
    }

    /// Makes the write set of the removal of a user.
    pub(crate) fn of_user(user: &UserId) -> Self {
        let users = HashSet::from([user.clone()]);
        Self { users, removed_user: Some(user.clone()), ..Self::default() }
    }

    /// Makes the write set of the change of a label.
    pub(crate) fn of_label(name: &LabelName) -> Self {
        Self { label: Some(name.clone()), ..Self::default() }
    }

    /// Whether a later write meets it.
    pub(crate) fn meets_write(&self, Write { rsvp, .. }: &Write) -> bool {
        self.events.contains(&rsvp.event) || self.removed_user.as_ref() == Some(&rsvp.user)
    }

    /// Whether a later call with the write set `other` meets it. The removal of an event and the
    /// removal of a user do not meet, because both only remove.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let same_label = self.label.is_some() && self.label == other.label;
        let user = other.removed_user.as_ref();
        same_label
            || user.is_some_and(|user| self.users.contains(user))
            || other.events.iter().any(|event| self.events.contains(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(user: &str, event: &str) -> Write {
        Write::rsvp(UserId::new(user).unwrap(), EventId::new(event).unwrap())
    }

    #[test]
    fn a_later_write_meets_its_event_and_the_removal_of_its_user() {
        let writes = WriteSet::of_writes([write("ann", "fair")].iter());
        assert!(writes.meets_write(&write("bob", "fair")));
        assert!(!writes.meets_write(&write("ann", "ball")));
        let removal = WriteSet::of_user(&UserId::new("ann").unwrap());
        assert!(removal.meets_write(&write("ann", "ball")));
        assert!(!removal.meets_write(&write("bob", "fair")));
    }

    #[test]
    fn a_later_removal_meets_writes_of_its_event_or_user() {
        let writes = WriteSet::of_writes([write("ann", "fair")].iter());
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
        assert!(writes.meets(&WriteSet::of_user(&ann)));
        assert!(!writes.meets(&WriteSet::of_user(&bob)));
        assert!(writes.meets(&WriteSet::of_event(&EventId::new("fair").unwrap())));
        assert!(!writes.meets(&WriteSet::of_event(&EventId::new("ball").unwrap())));
        assert!(!WriteSet::default().meets(&WriteSet::default()));
    }

    #[test]
    fn a_label_meets_itself() {
        let label = |name| WriteSet::of_label(&LabelName::new(name).unwrap());
        assert!(label("a").meets(&label("a")));
        assert!(!label("a").meets(&label("b")));
    }
}
