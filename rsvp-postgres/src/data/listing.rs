//! Pages by the key of the last entry: each is one range of an index.

use rsvp_core::{Cursor, Error, EventId, Operation, Page, PageRequest, Result, Rsvp, UserId};
use sqlx::FromRow;
use sqlx::postgres::PgRow;

use crate::sql::Statement;
use crate::wire::connection::Session;
use crate::wire::pool::Work;

/// A page of a listing: the rows of `sql` whose key is greater than the cursor's.
#[derive(Clone)]
pub(crate) struct Listing {
    tag: u8,
    sql: Statement,
    /// What the statement is bound to: the listed id and the last key, or the last pair.
    keys: [String; 2],
    limit: usize,
}

/// The attendees of an event, or the events of a user.
pub(crate) fn of_one(tag: u8, sql: Statement, of: &str, request: &PageRequest) -> Result<Listing> {
    let last = last_key(tag, request)?.unwrap_or_default();
    if !last.is_empty() && UserId::new(&last).is_err() {
        return Err(Cursor::refused());
    }
    let limit = request.limit.get();
    Ok(Listing { tag, sql, keys: [of.to_owned(), last], limit })
}

/// Every pair.
pub(crate) fn of_all(sql: Statement, request: &PageRequest) -> Result<Listing> {
    let keys = match last_key(SCAN, request)? {
        None => [String::new(), String::new()],
        Some(pair) => {
            // No id has a control character, so it parts the two.
            let (event, user) = pair.split_once('\0').ok_or_else(Cursor::refused)?;
            if EventId::new(event).is_err() || UserId::new(user).is_err() {
                return Err(Cursor::refused());
            }
            [event.to_owned(), user.to_owned()]
        }
    };
    Ok(Listing { tag: SCAN, sql, keys, limit: request.limit.get() })
}

pub(crate) const ATTENDEES: u8 = b'a';
pub(crate) const EVENTS_OF: u8 = b'e';
const SCAN: u8 = b's';

fn last_key(tag: u8, request: &PageRequest) -> Result<Option<String>> {
    let Some(cursor) = &request.cursor else { return Ok(None) };
    match cursor.as_bytes().split_first() {
        Some((of, key)) if *of == tag && !key.is_empty() => {
            String::from_utf8(key.to_vec()).map(Some).map_err(|_| Cursor::refused())
        }
        _ => Err(Cursor::refused()),
    }
}

impl Listing {
    /// Reads the rows, and one more to know whether there are any.
    pub(crate) fn work<R>(
        &self,
    ) -> impl for<'a> Fn(&'a mut Session) -> Work<'a, Vec<R>> + Clone + Send + Sync + 'static
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static,
    {
        let listing = self.clone();
        move |session| {
            let Listing { sql, keys: [first, second], limit, .. } = listing.clone();
            Box::pin(async move {
                let most = limit as i64 + 1;
                let query = sqlx::query_as(&sql).bind(first).bind(second).bind(most);
                query.fetch_all(&mut session.connection).await
            })
        }
    }

    /// The page that the rows make, with a cursor of the last one's key.
    pub(crate) fn page<R, T>(
        &self,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> String,
        item: impl Fn(R) -> Result<T>,
    ) -> Result<Page<T>> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let cursor = |row| Cursor::new([&[self.tag], key(row).as_bytes()].concat());
        let next = rows.last().filter(|_| more).map(cursor);
        let items = rows.into_iter().map(item).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }
}

/// A row with one id.
pub(crate) type One = (String,);
/// A row with an event and a user.
pub(crate) type Pair = (String, String);

/// An id from a row, which only something other than this library can have made illegal.
pub(crate) fn stored<T>(operation: Operation, id: Result<T>) -> Result<T> {
    id.map_err(|error| Error::corrupt(operation, format!("a stored id: {error}")))
}

pub(crate) fn stored_pair((event, user): Pair) -> Result<Rsvp> {
    let event = stored(Operation::Scan, EventId::new(event))?;
    Ok(Rsvp::new(stored(Operation::Scan, UserId::new(user))?, event))
}
