//! Listings by keyset pagination.
//!
//! Each page is one range of an index, and begins after the last entry of the page before.
//! The order is the order of the ids in the file, not of the names.

use rsvp_core::backend::{CursorReader, CursorWriter, stored_id};
use rsvp_core::{Cursor, EventId, Operation, Page, PageLimit, PageRequest, Result, Rsvp, UserId};
use rusqlite::{Connection, Row, params};

use super::read::Read;
use crate::wire::failure::Failure;

const ATTENDEES: u8 = b'a';
const EVENTS_OF: u8 = b'e';
const SCAN: u8 = b's';

// A left join, because a counted RSVP is never left out.
// An id without a name gives NULL and is reported as corrupt data.
const ATTENDEES_SQL: &str = "
    SELECT rsvps.user, users.name
    FROM rsvps LEFT JOIN users ON users.id = rsvps.user
    WHERE rsvps.event = (SELECT id FROM events WHERE name = ?1) AND rsvps.user > ?2
    ORDER BY rsvps.user LIMIT ?3";
const EVENTS_OF_SQL: &str = "
    SELECT rsvps.event, events.name
    FROM rsvps LEFT JOIN events ON events.id = rsvps.event
    WHERE rsvps.user = (SELECT id FROM users WHERE name = ?1) AND rsvps.event > ?2
    ORDER BY rsvps.event LIMIT ?3";
const SCAN_SQL: &str = "
    SELECT rsvps.event, rsvps.user, events.name, users.name
    FROM rsvps
    LEFT JOIN events ON events.id = rsvps.event
    LEFT JOIN users ON users.id = rsvps.user
    WHERE (rsvps.event, rsvps.user) > (?1, ?2)
    ORDER BY rsvps.event, rsvps.user LIMIT ?3";

/// Reads a page of the attendees of an event.
#[derive(Debug)]
pub(crate) struct Attendees {
    event: EventId,
    after: i64,
    limit: PageLimit,
}

impl Attendees {
    pub(crate) fn new(event: &EventId, request: &PageRequest) -> Result<Self> {
        let after = after_one(ATTENDEES, event.as_str(), request)?;
        Ok(Self { event: event.clone(), after, limit: request.limit })
    }
}

impl Read for Attendees {
    type Answer = Page<UserId>;

    fn operation(&self) -> Operation {
        Operation::Attendees
    }

    fn read(&self, connection: &Connection) -> std::result::Result<Self::Answer, Failure> {
        let mut query = connection.prepare_cached(ATTENDEES_SQL)?;
        let parameters = params![self.event.as_str(), self.after, one_more(self.limit)];
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows = query.query_map(parameters, row)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let cursor = |number: &i64| {
            CursorWriter::new(ATTENDEES, self.event.as_str()).u64(number.unsigned_abs()).finish()
        };
        page(rows, self.limit, cursor, |name| user(self.operation(), name))
    }
}

/// Reads a page of the events of a user.
#[derive(Debug)]
pub(crate) struct EventsOf {
    user: UserId,
    after: i64,
    limit: PageLimit,
}

impl EventsOf {
    pub(crate) fn new(user: &UserId, request: &PageRequest) -> Result<Self> {
        let after = after_one(EVENTS_OF, user.as_str(), request)?;
        Ok(Self { user: user.clone(), after, limit: request.limit })
    }
}

impl Read for EventsOf {
    type Answer = Page<EventId>;

    fn operation(&self) -> Operation {
        Operation::EventsOf
    }

    fn read(&self, connection: &Connection) -> std::result::Result<Self::Answer, Failure> {
        let mut query = connection.prepare_cached(EVENTS_OF_SQL)?;
        let parameters = params![self.user.as_str(), self.after, one_more(self.limit)];
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows = query.query_map(parameters, row)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let cursor = |number: &i64| {
            CursorWriter::new(EVENTS_OF, self.user.as_str()).u64(number.unsigned_abs()).finish()
        };
        page(rows, self.limit, cursor, |name| event(self.operation(), name))
    }
}

/// Reads a page of everything.
#[derive(Debug)]
pub(crate) struct Scan {
    after: (i64, i64),
    limit: PageLimit,
}

impl Scan {
    pub(crate) fn new(request: &PageRequest) -> Result<Self> {
        let mut after = (0, 0);
        if let Some(mut cursor) = CursorReader::of(SCAN, "", request)? {
            after = (number(cursor.u64()?)?, number(cursor.u64()?)?);
            cursor.end()?;
        }
        Ok(Self { after, limit: request.limit })
    }
}

impl Read for Scan {
    type Answer = Page<Rsvp>;

    fn operation(&self) -> Operation {
        Operation::Scan
    }

    fn read(&self, connection: &Connection) -> std::result::Result<Self::Answer, Failure> {
        let mut query = connection.prepare_cached(SCAN_SQL)?;
        let parameters = params![self.after.0, self.after.1, one_more(self.limit)];
        let row = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)));
        let rows = query.query_map(parameters, row)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let cursor = |(event, user): &(i64, i64)| {
            let cursor = CursorWriter::new(SCAN, "").u64(event.unsigned_abs());
            cursor.u64(user.unsigned_abs()).finish()
        };
        page(rows, self.limit, cursor, |(of_event, of_user)| {
            let event = event(self.operation(), of_event)?;
            Ok(Rsvp::new(user(self.operation(), of_user)?, event))
        })
    }
}

/// Returns the limit plus one. The additional row shows whether a next page exists.
fn one_more(limit: PageLimit) -> i64 {
    limit.get() as i64 + 1
}

/// Makes a page of rows, each with its key.
/// If more rows follow, the page has a cursor after its last row.
fn page<K, N, T>(
    mut rows: Vec<(K, N)>,
    limit: PageLimit,
    cursor_after: impl Fn(&K) -> Cursor,
    item: impl Fn(N) -> Result<T>,
) -> std::result::Result<Page<T>, Failure> {
    let more = rows.len() > limit.get();
    rows.truncate(limit.get());
    let next = rows.last().filter(|_| more).map(|(key, _)| cursor_after(key));
    let items = rows.into_iter().map(|(_, names)| item(names)).collect::<Result<_>>();
    let items = items.map_err(Failure::stored)?;
    Ok(Page::new(items, next))
}

fn user(operation: Operation, name: Option<String>) -> Result<UserId> {
    stored_id(operation, UserId::new(name.unwrap_or_default()))
}

fn event(operation: Operation, name: Option<String>) -> Result<EventId> {
    stored_id(operation, EventId::new(name.unwrap_or_default()))
}

/// Returns the id in the cursor of a listing of one subject. Ids begin at 1, so zero means none.
fn after_one(tag: u8, subject: &str, request: &PageRequest) -> Result<i64> {
    let Some(mut cursor) = CursorReader::of(tag, subject, request)? else { return Ok(0) };
    let after = number(cursor.u64()?)?;
    cursor.end()?;
    Ok(after)
}

fn number(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Cursor::refused())
}
