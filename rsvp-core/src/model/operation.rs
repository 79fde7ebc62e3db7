//! The names of a store's operations, for errors and metrics.

use std::fmt;

/// An operation of a store.
///
/// The set is small: the calls of [`RsvpStore`](crate::RsvpStore), opening, and maintenance.
/// It is safe as the label of a metric.
///
/// ```
/// use rsvp_core::Operation;
///
/// let writes = Operation::ALL.iter().filter(|operation| operation.is_write());
/// assert!(writes.clone().any(|operation| operation.as_str() == "remove_event"));
/// assert!(!Operation::HasRsvped.is_write());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// [`write_batch`](crate::RsvpStore::write_batch).
    Write,
    /// [`has_rsvped_batch`](crate::RsvpStore::has_rsvped_batch).
    HasRsvped,
    /// [`rsvp_count_batch`](crate::RsvpStore::rsvp_count_batch).
    RsvpCount,
    /// [`attendees_page`](crate::RsvpStore::attendees_page).
    Attendees,
    /// [`events_of_page`](crate::RsvpStore::events_of_page).
    EventsOf,
    /// [`scan_page`](crate::RsvpStore::scan_page).
    Scan,
    /// [`remove_event_step`](crate::RsvpStore::remove_event_step).
    RemoveEvent,
    /// [`remove_user_step`](crate::RsvpStore::remove_user_step).
    RemoveUser,
    /// [`label`](crate::RsvpStore::label).
    Label,
    /// [`replace_label`](crate::RsvpStore::replace_label).
    ReplaceLabel,
    /// [`ready`](crate::RsvpStore::ready).
    Ready,
    /// [`close`](crate::RsvpStore::close).
    Close,
    /// Opening a store.
    Open,
    /// Creating or upgrading the schema of a backend.
    Migrate,
    /// Comparing derived data, such as counts, with the RSVPs.
    Audit,
    /// Repairing the differences of an audit.
    Repair,
    /// Copying a store that is in use.
    Backup,
}

impl Operation {
    /// Every operation.
    pub const ALL: &[Self] = &[
        Self::Write,
        Self::HasRsvped,
        Self::RsvpCount,
        Self::Attendees,
        Self::EventsOf,
        Self::Scan,
        Self::RemoveEvent,
        Self::RemoveUser,
        Self::Label,
        Self::ReplaceLabel,
        Self::Ready,
        Self::Close,
        Self::Open,
        Self::Migrate,
        Self::Audit,
        Self::Repair,
        Self::Backup,
    ];

    /// Returns the name in snake case, for the label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::HasRsvped => "has_rsvped",
            Self::RsvpCount => "rsvp_count",
            Self::Attendees => "attendees",
            Self::EventsOf => "events_of",
            Self::Scan => "scan",
            Self::RemoveEvent => "remove_event",
            Self::RemoveUser => "remove_user",
            Self::Label => "label",
            Self::ReplaceLabel => "replace_label",
            Self::Ready => "ready",
            Self::Close => "close",
            Self::Open => "open",
            Self::Migrate => "migrate",
            Self::Audit => "audit",
            Self::Repair => "repair",
            Self::Backup => "backup",
        }
    }

    /// Returns whether the operation can change the store's data.
    pub fn is_write(self) -> bool {
        match self {
            Self::Write
            | Self::RemoveEvent
            | Self::RemoveUser
            | Self::ReplaceLabel
            | Self::Migrate
            | Self::Repair => true,
            Self::HasRsvped
            | Self::RsvpCount
            | Self::Attendees
            | Self::EventsOf
            | Self::Scan
            | Self::Label
            | Self::Ready
            | Self::Close
            | Self::Open
            | Self::Audit
            | Self::Backup => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
