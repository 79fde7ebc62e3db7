//! The cursors of the listings. Each has a tag for the kind of listing, and the numbers of entries.

use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{Cursor, EventId, Result, UserId};

/// The cursor of a list of one event or one user.
/// The entries with a number below this one come next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListCursor<'a> {
    tag: u8,
    subject: &'a str,
}

impl<'a> ListCursor<'a> {
    pub(crate) fn attendees(event: &'a EventId) -> Self {
        Self { tag: b'a', subject: event.as_str() }
    }

    pub(crate) fn events_of(user: &'a UserId) -> Self {
        Self { tag: b'e', subject: user.as_str() }
    }

    pub(crate) fn parse(self, cursor: Option<&Cursor>) -> Result<u64> {
        let Some(cursor) = cursor else { return Ok(u64::MAX) };
        let mut fields = CursorReader::new(self.tag, self.subject, cursor)?;
        let below = fields.u64()?;
        fields.end()?;
        Ok(below)
    }

    pub(crate) fn cursor(self, below: u64) -> Cursor {
        CursorWriter::new(self.tag, self.subject).u64(below).finish()
    }
}

/// The position of a scan. The events with a number below one are still to come.
/// Of the last event, `current`, the attendees with a number below another one are still to come.
#[derive(Debug)]
pub(crate) struct ScanCursor {
    pub(crate) events_below: u64,
    pub(crate) attendees_below: u64,
    current: Option<EventId>,
}

impl ScanCursor {
    const TAG: u8 = b's';
    const EVERYTHING: &'static str = "";

    pub(crate) fn parse(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            let end = u64::MAX;
            return Ok(Self { events_below: end, attendees_below: end, current: None });
        };
        let mut fields = CursorReader::new(Self::TAG, Self::EVERYTHING, cursor)?;
        let events_below = fields.u64()?;
        let attendees_below = fields.u64()?;
        let current = match fields.rest() {
            [] => None,
            event => Some(EventId::from_utf8(event).map_err(|_| Cursor::refused())?),
        };
        Ok(Self { events_below, attendees_below, current })
    }

    /// Moves the scan to `event`, with this number.
    /// If the scan was not in the middle of this event, it begins with the newest attendee.
    pub(crate) fn arrive(&mut self, number: u64, event: &EventId) {
        if self.current.as_ref() != Some(event) {
            self.attendees_below = u64::MAX;
        }
        self.events_below = number + 1;
    }

    /// Records that the scan has read `event` down to `next`, or to its end.
    pub(crate) fn advance(&mut self, event: EventId, next: Option<u64>) {
        match next {
            Some(below) => {
                self.current = Some(event);
                self.attendees_below = below;
            }
            None => {
                self.current = None;
                self.events_below -= 1;
            }
        }
    }

    pub(crate) fn into_cursor(self) -> Cursor {
        let event = self.current.as_ref().map_or("", EventId::as_str);
        CursorWriter::new(Self::TAG, Self::EVERYTHING)
            .u64(self.events_below)
            .u64(self.attendees_below)
            .rest(event.as_bytes())
            .finish()
    }
}
