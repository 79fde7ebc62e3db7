//! Pages by keyset pagination.
//!
//! Each page is one range of an index. It begins after the last key of the previous page.

use std::marker::PhantomData;

use rsvp_core::backend::CursorReader;
use rsvp_core::{
    Cursor, EventId, MAX_ID_BYTES, Operation, Page, PageLimit, PageRequest, Result, UserId,
};

use super::listing::{Attendees, EventsOf, Listing, Scan};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Reads one page of a listing.
#[derive(Debug)]
pub(crate) struct ListPage<L> {
    /// The first two arguments of the statement. They are the listed id and the last key,
    /// or the last pair.
    keys: [String; 2],
    /// The listed id, empty for a listing of everything.
    subject: String,
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
        let mut last = [String::new(), String::new()];
        if let Some(mut cursor) = CursorReader::of(Scan::TAG, "", request)? {
            last = [id_in(&mut cursor)?, id_in(&mut cursor)?];
            cursor.end()?;
        }
        Ok(Self::new(last, "", request))
    }
}

impl<L: Listing> ListPage<L> {
    /// Makes a page of the listing of `id`. Its cursors hold one id.
    fn after_one(id: &str, request: &PageRequest) -> Result<Self> {
        let mut last = String::new();
        if let Some(mut cursor) = CursorReader::of(L::TAG, id, request)? {
            last = id_in(&mut cursor)?;
            cursor.end()?;
        }
        Ok(Self::new([id.to_owned(), last], id, request))
    }

    fn new(keys: [String; 2], subject: &str, request: &PageRequest) -> Self {
        let subject = subject.to_owned();
        Self { keys, subject, limit: request.limit, listing: PhantomData }
    }

    /// Makes the page from its rows, with a cursor after the last one if there are more.
    fn page(&self, mut rows: Vec<L::Row>) -> Result<Page<L::Item>> {
        let more = rows.len() > self.limit.get();
        rows.truncate(self.limit.get());
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| L::cursor_after(&self.subject, row));
        let items = rows.into_iter().map(L::item).collect::<Result<_>>()?;
        Ok(Page::new(items, next))
    }
}

/// Reads the next id in a cursor. Ids of users and events have the same rules.
fn id_in(cursor: &mut CursorReader<'_>) -> Result<String> {
    let id = cursor.text(MAX_ID_BYTES)?;
    UserId::new(id).map_err(|_| Cursor::refused())?;
    Ok(id.to_owned())
}

// A derived impl would need `L: Clone`.
impl<L> Clone for ListPage<L> {
    fn clone(&self) -> Self {
        let (keys, subject) = (self.keys.clone(), self.subject.clone());
        Self { keys, subject, limit: self.limit, listing: PhantomData }
    }
}

impl<L: Listing> Work for ListPage<L> {
    /// The page, or the error of an illegal row.
    type Answer = Result<Page<L::Item>>;

    fn operation(&self) -> Operation {
        L::OPERATION
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        let [first, second] = &self.keys;
        let most = self.limit.get() as i64 + 1;
        let query = sqlx::query_as(L::statement(sql)).bind(first).bind(second).bind(most);
        let query = query.persistent(connection.keeps_statements());
        // The one row over the limit shows whether there is a next page.
        Ok(self.page(query.fetch_all(&mut connection.pg).await?))
    }
}
