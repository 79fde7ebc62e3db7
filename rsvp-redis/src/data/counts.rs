//! Counts, the sizes of the sets of events.

use redis::cmd;
use rsvp_core::{Count, Error, EventId, Result};

use crate::data::MAX_PIECE;
use crate::data::keys::Keys;
use crate::data::reply::size;
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch, Request};

/// The count of each event, in one round trip for each piece of them.
pub(crate) async fn counts(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    events: &[EventId],
) -> Vec<Result<Count>> {
    let parts = keys.parts();
    let request = |event: &EventId, part| {
        let key = keys.event(event, part);
        Request::read(key.slot, cmd("SCARD").arg(&key.name).to_owned())
    };
    let mut counts = Vec::with_capacity(events.len());
    for piece in events.chunks((MAX_PIECE / usize::from(parts)).max(1)) {
        let requests =
            piece.iter().flat_map(|event| (0..parts).map(move |part| request(event, part)));
        let answers = servers.run(call, requests.collect()).await;
        counts.extend(answers.chunks(usize::from(parts)).map(|parts| sum(call, parts)));
    }
    counts
}

/// The count of an event. It fails if any part of the event has no answer.
fn sum(call: Call, parts: &[Result<Answer, Failure>]) -> Result<Count> {
    let mut sum = 0_u64;
    for part in parts {
        let answer = part.as_ref().map_err(|failure| failure.clone().into_error(call.operation))?;
        let size = answer.values.first().and_then(size);
        sum += size.ok_or_else(|| Error::corrupt(call.operation, "unexpected reply to SCARD"))?;
    }
    Ok(Count::fresh(sum))
}
