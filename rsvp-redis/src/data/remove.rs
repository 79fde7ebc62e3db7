//! Removal in steps. A step first finds RSVPs of an event or a user to cancel.

use redis::{Value, cmd};
use rsvp_core::backend::stored_id;
use rsvp_core::{Error, EventId, RemovalStep, Result, SessionToken, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::scan_key::member;
use crate::wire::call_deadline::Call;
use crate::wire::request::{Dispatch, Request};

/// The RSVPs to cancel in one step of a removal.
pub(crate) struct Found {
    pub(crate) cancels: Vec<Write>,
    /// Whether there may be more.
    more: bool,
}

impl Found {
    /// Whether there may be more RSVPs to find.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// The result of the step, by whether each cancellation `changed` anything.
    pub(crate) fn step(&self, changed: &[bool]) -> RemovalStep {
        let removed = changed.iter().filter(|changed| **changed).count() as u64;
        RemovalStep::new(removed, self.more, SessionToken::new())
    }
}

/// Up to `limit` RSVPs of an event.
pub(crate) async fn find_of_event(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    event: &EventId,
    limit: usize,
) -> Result<Found> {
    let mut cancels = Vec::new();
    for part in 0..keys.parts() {
        let room = limit.saturating_sub(cancels.len());
        if room == 0 {
            return Ok(Found { cancels, more: true });
        }
        let key = keys.event(event, part);
        for user in sample(servers, call, "SRANDMEMBER", &key, room).await? {
            cancels
                .push(Write::cancel(stored_id(call.operation, UserId::new(user))?, event.clone()));
        }
    }
    let more = cancels.len() >= limit;
    Ok(Found { cancels, more })
}

/// Up to `limit` RSVPs of a user, from the user index.
pub(crate) async fn find_of_user(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    user: &UserId,
    limit: usize,
) -> Result<Found> {
    let events = sample(servers, call, "HRANDFIELD", &keys.user(user), limit).await?;
    let more = events.len() >= limit;
    let cancel =
        |event| Ok(Write::cancel(user.clone(), stored_id(call.operation, EventId::new(event))?));
    Ok(Found { cancels: events.into_iter().map(cancel).collect::<Result<_>>()?, more })
}

/// Up to `count` different members, all of them if there are no more.
async fn sample(
    servers: &impl Dispatch,
    call: Call,
    command: &str,
    key: &Key,
    count: usize,
) -> Result<Vec<String>> {
    let request = Request::read(key.slot, cmd(command).arg(&key.name).arg(count).to_owned());
    match servers.run_one(call, request).await?.into_value() {
        Some(Value::Array(members) | Value::Set(members)) => {
            members.into_iter().map(|value| member(call.operation, value)).collect()
        }
        _ => Err(Error::corrupt(call.operation, format!("unexpected reply to {command}"))),
    }
}
