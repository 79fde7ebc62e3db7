//! The three listings: their statements, their rows and the keys of their cursors.

use rsvp_core::{Error, EventId, Operation, Result, Rsvp, UserId};
use sqlx::FromRow;
use sqlx::postgres::PgRow;

use crate::sql::{Statement, Statements};

/// One of the three listings.
pub(crate) trait Listing: Send + Sync + 'static {
    const OPERATION: Operation;
    /// The first byte of its cursors, so that one listing refuses the cursors of another.
    const TAG: u8;
    type Row: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static;
    type Item;

    fn statement(sql: &Statements) -> &Statement;

    /// The key of a row, as cursors hold it.
    fn key(row: &Self::Row) -> String;

    /// The entry that a row stands for.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if an id in it is illegal.
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

    fn key((user,): &Self::Row) -> String {
        user.clone()
    }

    fn item((user,): Self::Row) -> Result<UserId> {
        stored(Self::OPERATION, UserId::new(user))
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

    fn key((event,): &Self::Row) -> String {
        event.clone()
    }

    fn item((event,): Self::Row) -> Result<EventId> {
        stored(Self::OPERATION, EventId::new(event))
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

    fn key((event, user): &Self::Row) -> String {
        // No id has a control character, so it separates the two.
        format!("{event}\0{user}")
    }

    fn item((event, user): Self::Row) -> Result<Rsvp> {
        let event = stored(Self::OPERATION, EventId::new(event))?;
        Ok(Rsvp::new(stored(Self::OPERATION, UserId::new(user))?, event))
    }
}

/// An id from a row, which only something other than this library can have made illegal.
pub(crate) fn stored<T>(operation: Operation, id: Result<T>) -> Result<T> {
    id.map_err(|error| Error::corrupt(operation, format!("a stored id: {error}")))
}
