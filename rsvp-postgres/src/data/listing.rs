//! The statements, rows and cursors of the three listings.

use rsvp_core::backend::{CursorWriter, stored_id};
use rsvp_core::{Cursor, EventId, Operation, Result, Rsvp, UserId};
use sqlx::FromRow;
use sqlx::postgres::PgRow;

use crate::sql::{Statement, Statements};

/// One of the three listings.
pub(crate) trait Listing: Send + Sync + 'static {
    const OPERATION: Operation;
    /// The first byte of its cursors. A listing refuses the cursors of another.
    const TAG: u8;
    type Row: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static;
    type Item: Send + 'static;

    fn statement(sql: &Statements) -> &Statement;

    /// Makes the cursor of the page of `subject` after a row.
    fn cursor_after(subject: &str, row: &Self::Row) -> Cursor;

    /// Makes the entry of a row.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](rsvp_core::Error::Corrupt) if an id in it is illegal.
    fn item(row: Self::Row) -> Result<Self::Item>;
}

/// The attendees of an event.
#[derive(Debug)]
pub(crate) enum Attendees {}

impl Listing for Attendees {
    const OPERATION: Operation = Operation::Attendees;
    const TAG: u8 = b'a';
    type Row = (String,);
    type Item = UserId;

    fn statement(sql: &Statements) -> &Statement {
        &sql.attendees
    }

    fn cursor_after(subject: &str, (user,): &Self::Row) -> Cursor {
        CursorWriter::new(Self::TAG, subject).text(user).finish()
    }

    fn item((user,): Self::Row) -> Result<UserId> {
        stored_id(Self::OPERATION, UserId::new(user))
    }
}

/// The events of a user.
#[derive(Debug)]
pub(crate) enum EventsOf {}

impl Listing for EventsOf {
    const OPERATION: Operation = Operation::EventsOf;
    const TAG: u8 = b'e';
    type Row = (String,);
    type Item = EventId;

    fn statement(sql: &Statements) -> &Statement {
        &sql.events_of
    }

    fn cursor_after(subject: &str, (event,): &Self::Row) -> Cursor {
        CursorWriter::new(Self::TAG, subject).text(event).finish()
    }

    fn item((event,): Self::Row) -> Result<EventId> {
        stored_id(Self::OPERATION, EventId::new(event))
    }
}

/// Every RSVP.
#[derive(Debug)]
pub(crate) enum Scan {}

impl Listing for Scan {
    const OPERATION: Operation = Operation::Scan;
    const TAG: u8 = b's';
    /// The event and the user.
    type Row = (String, String);
    type Item = Rsvp;

    fn statement(sql: &Statements) -> &Statement {
        &sql.scan
    }

    fn cursor_after(subject: &str, (event, user): &Self::Row) -> Cursor {
        CursorWriter::new(Self::TAG, subject).text(event).text(user).finish()
    }

    fn item((event, user): Self::Row) -> Result<Rsvp> {
        let event = stored_id(Self::OPERATION, EventId::new(event))?;
        Ok(Rsvp::new(stored_id(Self::OPERATION, UserId::new(user))?, event))
    }
}
