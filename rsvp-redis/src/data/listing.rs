//! Pages of the attendees of an event and of the events of a user.

use rsvp_core::backend::{CursorReader, CursorWriter, stored_id};
use rsvp_core::{Cursor, EventId, Page, PageRequest, Result, UserId};

use crate::data::cursor::{ScanState, read_state, tag, write_state};
use crate::data::keys::{Keys, Kind};
use crate::data::scan_key::scan_key;
use crate::wire::call_deadline::Call;
use crate::wire::request::Dispatch;

/// A page of the users of an event, one part of the event after another.
pub(crate) async fn attendees(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    event: &EventId,
    request: &PageRequest,
) -> Result<Page<UserId>> {
    let subject = event.as_str();
    let (mut part, mut state) = match CursorReader::of(tag::ATTENDEES, subject, request)? {
        None => (0, ScanState::default()),
        Some(mut reader) => {
            let (part, state) = (reader.u16()?, read_state(&mut reader)?);
            reader.end()?;
            (part, state)
        }
    };
    if part >= keys.parts() {
        return Err(Cursor::refused());
    }
    let (limit, mut users) = (request.limit.get(), Vec::new());
    while part < keys.parts() && users.len() < limit {
        let key = keys.event(event, part);
        let room = limit - users.len();
        let page = scan_key(servers, call, (&key, Kind::Event), state, room).await?;
        for user in page.members {
            users.push(stored_id(call.operation, UserId::new(user))?);
        }
        match page.next {
            Some(next) => {
                let next = write_state(CursorWriter::new(tag::ATTENDEES, subject).u16(part), &next)
                    .finish();
                return Ok(Page::new(users, Some(next)));
            }
            None => {
                part += 1;
                state = ScanState::default();
            }
        }
    }
    let is_last = part >= keys.parts();
    let next = write_state(CursorWriter::new(tag::ATTENDEES, subject).u16(part), &state).finish();
    Ok(Page::new(users, (!is_last).then_some(next)))
}

/// A page of the events of a user, from the user index.
pub(crate) async fn events_of(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    user: &UserId,
    request: &PageRequest,
) -> Result<Page<EventId>> {
    let subject = user.as_str();
    let state = match CursorReader::of(tag::EVENTS_OF, subject, request)? {
        None => ScanState::default(),
        Some(mut reader) => {
            let state = read_state(&mut reader)?;
            reader.end()?;
            state
        }
    };
    let (key, limit) = (keys.user(user), request.limit.get());
    let page = scan_key(servers, call, (&key, Kind::User), state, limit).await?;
    let events =
        page.members.into_iter().map(|event| stored_id(call.operation, EventId::new(event)));
    let items = events.collect::<Result<_>>()?;
    let next = page
        .next
        .map(|next| write_state(CursorWriter::new(tag::EVENTS_OF, subject), &next).finish());
    Ok(Page::new(items, next))
}
