//! The cursors of the listings: a tag for each kind of listing, and positions.

use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{Cursor, EventId, Result, UserId};

/// The cursor of a list of one event or one user: everything below a position is still to come.
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

    pub(crate) fn parse(self, cursor: Option<&Cursor>) -> Result<usize> {
        let Some(cursor) = cursor else { return Ok(usize::MAX) };
        let mut fields = CursorReader::new(self.tag, self.subject, cursor)?;
        let below = read_position(&mut fields)?;
        fields.end()?;
        Ok(below)
    }

    pub(crate) fn cursor(self, below: usize) -> Cursor {
        CursorWriter::new(self.tag, self.subject).u64(below as u64).finish()
    }
}

/// The place of a scan: every event below a position is still to come, and of one event above that,
/// `current`, every attendee below another position.
#[derive(Debug)]
pub(crate) struct ScanCursor {
    pub(crate) events_below: usize,
    pub(crate) attendees_below: usize,
    current: Option<EventId>,
}

impl ScanCursor {
    const TAG: u8 = b's';
    const EVERYTHING: &'static str = "";

    pub(crate) fn parse(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            let end = usize::MAX;
            return Ok(Self { events_below: end, attendees_below: end, current: None });
        };
        let mut fields = CursorReader::new(Self::TAG, Self::EVERYTHING, cursor)?;
        let events_below = read_position(&mut fields)?;
        let attendees_below = read_position(&mut fields)?;
        let current = match fields.rest() {
            [] => None,
            event => Some(EventId::from_utf8(event).map_err(|_| Cursor::refused())?),
        };
        Ok(Self { events_below, attendees_below, current })
    }

    /// The scan looks at `event`, which is now at `position`. If that is not the event it was in
    /// the middle of, it begins with the last attendee.
    pub(crate) fn arrive(&mut self, position: usize, event: &EventId) {
        if self.current.as_ref() != Some(event) {
            self.attendees_below = usize::MAX;
        }
        self.events_below = position + 1;
    }

    /// The scan has read `event` down to `next`, or to its end.
    pub(crate) fn advance(&mut self, event: EventId, next: Option<usize>) {
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

    pub(crate) fn is_at_end(&self) -> bool {
        self.events_below == 0
    }

    pub(crate) fn into_cursor(self) -> Cursor {
        let event = self.current.as_ref().map_or("", EventId::as_str);
        CursorWriter::new(Self::TAG, Self::EVERYTHING)
            .u64(self.events_below as u64)
            .u64(self.attendees_below as u64)
            .rest(event.as_bytes())
            .finish()
    }
}

fn read_position(fields: &mut CursorReader<'_>) -> Result<usize> {
    Ok(usize::try_from(fields.u64()?).unwrap_or(usize::MAX))
}
