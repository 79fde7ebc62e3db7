//! Pages by keyset pagination: each page is one range of an index, which begins after the key of
//! the last entry of the page before.

use std::marker::PhantomData;

use rsvp_core::{Cursor, EventId, Operation, Page, PageLimit, PageRequest, Result, UserId};

use super::listing::{Attendees, EventsOf, Listing, Scan};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// Reads one page of a listing.
#[derive(Debug)]
pub(crate) struct ListPage<L> {
    /// The first two arguments of the statement: the listed id and the last key, or the last pair.
    keys: [String; 2],
    limit: PageLimit,
    listing: PhantomData<L>,
}

impl ListPage<Attendees> {
    pub(crate) fn of_event(event: &EventId, request: &PageRequest) -> Result<Self> {
        Self::after_one(event.as_str(), request)
    }
}

impl ListPage<EventsOf> {
    pub(crate) fn of_user(user: &UserId, request: &PageRequest) -> Result<Self> {
        Self::after_one(user.as_str(), request)
    }
}

impl ListPage<Scan> {
    pub(crate) fn of_everything(request: &PageRequest) -> Result<Self> {
        let keys = match Self::last_key(request)? {
            None => [String::new(), String::new()],
            Some(pair) => {
                let (event, user) = pair.split_once('\0').ok_or_else(Cursor::refused)?;
                if EventId::new(event).is_err() || UserId::new(user).is_err() {
                    return Err(Cursor::refused());
                }
                [event.to_owned(), user.to_owned()]
            }
        };
        Ok(Self::new(keys, request))
    }
}

impl<L: Listing> ListPage<L> {
    fn new(keys: [String; 2], request: &PageRequest) -> Self {
        Self { keys, limit: request.limit, listing: PhantomData }
    }

    /// A page of the listing of `id`, whose cursors hold one id.
    fn after_one(id: &str, request: &PageRequest) -> Result<Self> {
        let last = Self::last_key(request)?.unwrap_or_default();
        // Users and events have the same rules.
        if !last.is_empty() && UserId::new(&last).is_err() {
            return Err(Cursor::refused());
        }
        Ok(Self::new([id.to_owned(), last], request))
    }

    /// The key that the cursor holds, if there is a cursor.
    fn last_key(request: &PageRequest) -> Result<Option<String>> {
        let Some(cursor) = &request.cursor else { return Ok(None) };
        match cursor.as_bytes().split_first() {
            Some((tag, key)) if *tag == L::TAG && !key.is_empty() => {
                String::from_utf8(key.to_vec()).map(Some).map_err(|_| Cursor::refused())
            }
            _ => Err(Cursor::refused()),
        }
    }
}

/// Derived, it would ask for a listing that can be cloned.
impl<L> Clone for ListPage<L> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), limit: self.limit, listing: PhantomData }
    }
}

impl<L: Listing> Work for ListPage<L> {
    /// The rows of the page, and one more if there are any after it.
    type Answer = Vec<L::Row>;

    fn operation(&self) -> Operation {
        L::OPERATION
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Vec<L::Row>> {
        let [first, second] = &self.keys;
        let most = self.limit.get() as i64 + 1;
        let query = sqlx::query_as(L::statement(sql)).bind(first).bind(second).bind(most);
        query.fetch_all(&mut connection.pg).await
    }
}

/// The page that the rows make, with a cursor of the last one's key if there are more.
pub(crate) fn page<L: Listing>(limit: PageLimit, mut rows: Vec<L::Row>) -> Result<Page<L::Item>> {
    let more = rows.len() > limit.get();
    rows.truncate(limit.get());
    let cursor = |row| Cursor::new([&[L::TAG], L::key(row).as_bytes()].concat());
    let next = rows.last().filter(|_| more).map(cursor);
    let items = rows.into_iter().map(L::item).collect::<Result<_>>()?;
    Ok(Page { items, next })
}
