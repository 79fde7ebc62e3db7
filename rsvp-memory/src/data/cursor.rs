//! The cursors of the listings: a tag for each kind of listing, and positions.

use rsvp_core::{Cursor, EventId, Result};

/// The cursor of a list of one event or one user: everything below a position is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListCursor {
    tag: u8,
}

impl ListCursor {
    pub(crate) const ATTENDEES: Self = Self { tag: b'a' };
    pub(crate) const EVENTS_OF: Self = Self { tag: b'e' };

    pub(crate) fn parse(self, cursor: Option<&Cursor>) -> Result<usize> {
        let Some(cursor) = cursor else { return Ok(usize::MAX) };
        match cursor.as_bytes().split_first() {
            Some((tag, position)) if *tag == self.tag => {
                position.try_into().map(position_of).map_err(|_| Cursor::refused())
            }
            _ => Err(Cursor::refused()),
        }
    }

    pub(crate) fn cursor(self, below: usize) -> Cursor {
        let mut bytes = vec![self.tag];
        bytes.extend((below as u64).to_be_bytes());
        Cursor::new(bytes)
    }
}

/// Where a scan is: every event below a position is still to come, and of one event above that,
/// `current`, every attendee below another position.
#[derive(Debug)]
pub(crate) struct ScanCursor {
    pub(crate) events_below: usize,
    pub(crate) attendees_below: usize,
    current: Option<EventId>,
}

impl ScanCursor {
    const TAG: u8 = b's';

    pub(crate) fn parse(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            let end = usize::MAX;
            return Ok(Self { events_below: end, attendees_below: end, current: None });
        };
        Self::parse_bytes(cursor.as_bytes()).ok_or_else(Cursor::refused)
    }

    fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        let (events_below, rest) = rest.split_first_chunk()?;
        let (attendees_below, event) = rest.split_first_chunk()?;
        let current = match event {
            [] => None,
            event => Some(EventId::from_utf8(event).ok()?),
        };
        let (events_below, attendees_below) =
            (position_of(*events_below), position_of(*attendees_below));
        (tag == Self::TAG).then_some(Self { events_below, attendees_below, current })
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
        let mut bytes = vec![Self::TAG];
        bytes.extend((self.events_below as u64).to_be_bytes());
        bytes.extend((self.attendees_below as u64).to_be_bytes());
        bytes.extend(self.current.iter().flat_map(|event| event.as_str().bytes()));
        Cursor::new(bytes)
    }
}

fn position_of(bytes: [u8; 8]) -> usize {
    usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}
