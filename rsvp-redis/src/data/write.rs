//! Writing pairs, first to their events, then to their users.

use rsvp_core::backend::{FoldedBatch, combine};
use rsvp_core::{Effect, Error, Result, Write};

use crate::data::keys::Keys;
use crate::data::transaction::{Changed, change};
use crate::data::user_index::{IndexCommand, commands, sync};
use crate::data::{MAX_PIECE, set};
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::Dispatch;

/// Applies writes, sorted by event and without a pair twice. Returns for each whether it changed
/// anything.
///
/// If a write changed the event's set but not the user's list, it fails with at least unknown
/// effect. The RSVP is then made or cancelled, and a repetition completes the list.
pub(crate) async fn apply(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    writes: &[Write],
) -> Vec<Result<bool>> {
    let mut results = Vec::with_capacity(writes.len());
    for piece in writes.chunks(MAX_PIECE) {
        // Step 1: change the events, the truth. They decide the outcome.
        let Changed { results: changed, without_index } = change(servers, keys, call, piece).await;
        // Step 2: sync the user index of those that step 1 has left to it.
        let mut unsynced = vec![None; piece.len()];
        let failures = sync_changed(servers, keys, call, piece, &changed, without_index).await;
        failures.into_iter().for_each(|(place, failure)| set(&mut unsynced, place, failure));
        let result = |(changed, unsynced)| result_of(call, changed, unsynced);
        results.extend(changed.into_iter().zip(unsynced).map(result));
    }
    results
}

/// Syncs the user index for the writes at `places`, except for those without any effect on their
/// events. The index is right after the call, even if a failed call is not repeated.
async fn sync_changed(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    writes: &[Write],
    changed: &[Result<bool, Failure>],
    mut places: Vec<usize>,
) -> Vec<(usize, Option<Failure>)> {
    places.retain(|place| match changed.get(*place) {
        Some(Err(failure)) => failure.effect() == Effect::Unknown,
        _ => true,
    });
    let due: Vec<Write> = places.iter().filter_map(|place| writes.get(*place).cloned()).collect();
    if due.is_empty() {
        return Vec::new();
    }
    places.into_iter().zip(sync(servers, keys, call, due).await).collect()
}

/// The result of a write, from the results of its event and of its user's list.
fn result_of(
    call: Call,
    changed: Result<bool, Failure>,
    unsynced: Option<Failure>,
) -> Result<bool> {
    let of_list = unsynced.as_ref().map_or(Effect::NotApplied, Failure::effect);
    let error = |failure: Failure| failure.into_error(call.operation);
    match (changed, unsynced) {
        (Ok(changed), None) => Ok(changed),
        (Ok(_), Some(failure)) => Err(error(failure).with_effect(of_list.and(Effect::Unknown))),
        (Err(failure), _) => {
            let effect = failure.effect().and(of_list);
            Err(error(failure).with_effect(effect))
        }
    }
}

/// Cancels RSVPs of one user. Returns whether each of them, folded, changed anything.
///
/// The events' sets change before the index. An interrupted removal can so be taken up again, since
/// the index still leads to the events.
pub(crate) async fn cancel_events(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    cancels: &[Write],
) -> Result<Vec<bool>> {
    combine(apply(servers, keys, call, FoldedBatch::new(cancels).finals()).await)
}

/// Cancels RSVPs of one event. Returns whether each of them, folded, changed anything.
///
/// In a cluster the user index is changed first. Once the event's set is empty, nothing leads to
/// the entries of its users, and an interrupted removal could not be taken up again.
pub(crate) async fn cancel_attendees(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    cancels: &[Write],
) -> Result<Vec<bool>> {
    let batch = FoldedBatch::new(cancels);
    if !servers.is_cluster() {
        return combine(apply(servers, keys, call, batch.finals()).await);
    }
    let requests = commands(keys, cancels.iter().enumerate()).into_iter();
    let requests = requests.map(IndexCommand::into_request).collect();
    let changed = match servers.run_all(call, requests).await {
        Ok(_) => combine(apply(servers, keys, call, batch.finals()).await),
        Err(error) => Err(error),
    };
    if changed.is_err() {
        // Puts back the entries of users who stay. The first error is the one to report.
        sync(servers, keys, call, cancels.to_vec()).await;
    }
    changed.map_err(|error: Error| {
        let effect = error.effect().and(Effect::Unknown);
        error.with_effect(effect)
    })
}
