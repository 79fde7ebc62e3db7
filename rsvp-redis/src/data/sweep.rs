//! The sweep looks for RSVPs missing from the list of their user.
//!
//! In a cluster the list of a user may have lost an entry. Then only the keys of all events lead to
//! the RSVP. A removal of a user ends with a look at each of them, with one `SISMEMBER` for each
//! event, some thousands in a step.

use std::time::Duration;

use redis::{Value, cmd};
use rsvp_core::backend::combine;
use rsvp_core::{Effect, EventId, RemovalStep, Result, Rsvp, SessionToken, UserId, Write};

use crate::data::keys::{Key, Keys, Kind, Owner};
use crate::data::membership;
use crate::data::scan_slots::owned_keys;
use crate::data::write::cancel_events;
use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;
use crate::wire::request::{Dispatch, Request};
use crate::wire::slot::SLOTS;

/// The keys of one step, unless a single slot has more.
const KEYS: u64 = 4_000;

/// How long the next step may take to come. Later ones begin again, since the user may have come to
/// more events meanwhile.
const KEPT: Duration = Duration::from_secs(60);

/// Looks at more of the events, and cancels up to `limit` RSVPs of the user.
///
/// A key in the slot of the user holds the progress. So any process can do the next step.
pub(crate) async fn sweep(
    servers: &ClusterClient,
    keys: &Keys,
    call: Call,
    user: &UserId,
    limit: usize,
) -> Result<RemovalStep> {
    let (mut removed, mut left) = (0, KEYS);
    let begin = begin(servers, keys, call, user).await?;
    servers.complete_topology(call).await?;
    let mut slot = begin;
    while slot < SLOTS && left > 0 {
        // Step 1: find the events of the next slots. Only the part of the user can hold the user.
        let found = servers.keys_from(call, slot, left).await;
        let found = found.map_err(|failure| failure.into_error(call.operation))?;
        let (end, looked_at) = (found.slots.end, found.names.len() as u64);
        let pairs = pairs(keys, user, owned_keys(keys, Kind::Event, found));
        // Step 2: cancel the RSVPs among them. If there are more than the limit, the same slots
        // come again in the next step.
        let held = combine(membership::read(servers, keys, call, &pairs).await)?;
        let held = pairs.into_iter().zip(held).filter(|(_, held)| *held).map(|(pair, _)| pair);
        let mut cancels: Vec<Write> =
            held.map(|pair| Write::cancel(pair.user, pair.event)).collect();
        let too_many = cancels.len() > limit;
        cancels.truncate(limit);
        let changed = cancel_events(servers, keys, call, &cancels).await?;
        removed += changed.into_iter().filter(|changed| *changed).count() as u64;
        if too_many {
            break;
        }
        slot = end;
        left = left.saturating_sub(looked_at.max(1));
        if !cancels.is_empty() {
            break;
        }
    }
    // Step 3: note the slot for the next step, or delete the key at the end.
    let noted = note(servers, keys, call, user, slot).await;
    noted.map_err(|error| match removed {
        0 => error,
        _ => error.with_effect(Effect::Unknown),
    })?;
    Ok(RemovalStep::new(removed, slot < SLOTS, SessionToken::new()))
}

/// The pairs of a user and the events of keys of the user's part.
fn pairs(keys: &Keys, user: &UserId, owned: Vec<(Owner, Key)>) -> Vec<Rsvp> {
    let event = |(owner, key)| match owner {
        Owner::Event(event) if keys.event(&event, keys.part_of(user)) == key => Some(event),
        _ => None,
    };
    owned
        .into_iter()
        .filter_map(event)
        .map(|event: EventId| Rsvp::new(user.clone(), event))
        .collect()
}

async fn begin(servers: &impl Dispatch, keys: &Keys, call: Call, user: &UserId) -> Result<u16> {
    let key = keys.sweep(user);
    let request = Request::read(key.slot, cmd("GET").arg(&key.name).to_owned());
    let slot = match servers.run_one(call, request).await?.into_value() {
        Some(Value::BulkString(slot)) => String::from_utf8(slot).ok(),
        _ => None,
    };
    Ok(slot.and_then(|slot| slot.parse().ok()).unwrap_or(0))
}

async fn note(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    user: &UserId,
    slot: u16,
) -> Result<()> {
    let key = keys.sweep(user);
    let command = if slot < SLOTS {
        let kept = KEPT.as_millis() as u64;
        cmd("SET").arg(&key.name).arg(slot).arg("PX").arg(kept).to_owned()
    } else {
        cmd("DEL").arg(&key.name).to_owned()
    };
    servers.run_one(call, Request::write(key.slot, vec![command])).await.map(drop)
}
