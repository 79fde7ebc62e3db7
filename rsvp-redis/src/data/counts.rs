//! Counts: the sizes of the sets of events.

use std::time::Duration;

use redis::cmd;
use rsvp_core::{Count, Error, EventId, Operation, Result};

use crate::data::keys::Keys;
use crate::data::reply::size;
use crate::wire::request::{Answer, Dispatch, Request};

/// The count of each event, in one round trip.
pub(crate) async fn counts(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    events: &[EventId],
) -> Result<Vec<Count>> {
    let parts = keys.parts();
    let request = |event: &EventId, part| {
        let key = keys.event(event, part);
        Request::read(key.slot, cmd("SCARD").arg(&key.name).to_owned())
    };
    let requests = events.iter().flat_map(|event| (0..parts).map(move |part| request(event, part)));
    let answers = servers.run_all(operation, requests.collect()).await?;
    let size_of = |answer: &Answer| answer.values.first().and_then(size);
    let counts = answers.chunks(usize::from(parts)).map(|parts| {
        let value: Option<u64> = parts.iter().map(size_of).sum();
        let value = value.ok_or_else(|| Error::corrupt(operation, "unexpected reply to SCARD"))?;
        Ok(Count::aged(value, Duration::ZERO))
    });
    counts.collect()
}
