//! The user index: the hash of each user's events, which is derived from the sets of the events.

use std::collections::BTreeMap;

use redis::{Cmd, cmd};
use rsvp_core::backend::combine_errors;
use rsvp_core::{Action, Effect, Error, Operation, Result, Rsvp, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::membership::read_each;
use crate::data::reply::each_flag;
use crate::wire::failure::Failure;
use crate::wire::request::{Dispatch, Request};

/// How often a pair may change while its index entry is synced.
const MAX_ROUNDS: usize = 32;

/// A command that changes the index of one user.
pub(crate) struct IndexCommand {
    pub(crate) key: Key,
    pub(crate) command: Cmd,
    /// The indexes of the writes that it carries out.
    writes: Vec<usize>,
}

/// The user-index commands of some writes: for each user one that adds events, one that removes
/// events, or both.
pub(crate) fn commands<'a>(
    keys: &Keys,
    writes: impl Iterator<Item = &'a Write>,
) -> Vec<IndexCommand> {
    let mut commands: BTreeMap<(&UserId, bool), IndexCommand> = BTreeMap::new();
    for (index, Write { action, rsvp: Rsvp { user, event } }) in writes.enumerate() {
        let adds = *action == Action::Rsvp;
        let of_user = commands.entry((user, adds)).or_insert_with(|| {
            let key = keys.user(user);
            let mut command = cmd(if adds { "HSET" } else { "HDEL" });
            command.arg(&key.name);
            IndexCommand { key, command, writes: Vec::new() }
        });
        of_user.writes.push(index);
        of_user.command.arg(event.as_str());
        if adds {
            of_user.command.arg("");
        }
    }
    commands.into_values().collect()
}

/// The command that tells whether a pair is in the index of its user, and its key.
pub(crate) fn is_indexed(keys: &Keys, pair: &Rsvp) -> (Key, Cmd) {
    let key = keys.user(&pair.user);
    let command = cmd("HEXISTS").arg(&key.name).arg(pair.event.as_str()).to_owned();
    (key, command)
}

/// For each pair, whether it is in the index of its user.
pub(crate) async fn are_indexed(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    pairs: &[Rsvp],
) -> Result<Vec<bool>> {
    let request = |pair: &Rsvp| {
        let (key, command) = is_indexed(keys, pair);
        Request::read(key.slot, command)
    };
    let answers = servers.run_all(operation, pairs.iter().map(request).collect()).await?;
    each_flag(operation, answers.into_iter().flat_map(|answer| answer.values))
}

/// Makes the user index follow `writes`, then the truth, until both agree.
///
/// Every writer syncs the index after it has changed the truth. So the last writer to the index
/// entry of a pair has read a truth that either is final or is about to be synced by another
/// writer: when all writers are done, index and truth agree. No writer waits for another, and no
/// clock or version is involved.
///
/// Where some of it fails, the rest is synced all the same.
pub(crate) async fn sync(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    mut writes: Vec<Write>,
) -> Result<()> {
    let mut failures = Vec::new();
    for _ in 0..MAX_ROUNDS {
        // Step 1: write the index as the writes say.
        let (written, failed) = write(servers, keys, operation, writes).await;
        failures.extend(failed);
        // Step 2: read the truth after that, not before.
        let pairs = written.iter().map(|write| &write.rsvp);
        let (truth, unread) = read_each(servers, keys, operation, pairs).await;
        failures.extend(unread);
        // Step 3: go on with pairs that were changed meanwhile, until there are none.
        writes = written.into_iter().zip(truth).filter_map(correction).collect();
        if writes.is_empty() {
            let errors = failures.into_iter().map(|failure| failure.into_error(operation));
            return combine_errors(errors, true).map_or(Ok(()), Err);
        }
    }
    Err(Error::unavailable(operation, Effect::Unknown, Some(Contended.into())))
}

/// Writes the index; the writes that went through, and the failures of the others.
async fn write(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    writes: Vec<Write>,
) -> (Vec<Write>, Vec<Failure>) {
    let (indexes, requests): (Vec<_>, Vec<_>) = commands(keys, writes.iter())
        .into_iter()
        .map(|index| (index.writes, Request::write(index.key.slot, vec![index.command])))
        .unzip();
    let (mut written, mut failures) = (Vec::with_capacity(writes.len()), Vec::new());
    for (indexes, answer) in indexes.into_iter().zip(servers.run(operation, requests).await) {
        if matches!(answer, Ok(_) | Err(Failure::NotReplicated(_))) {
            written.extend(indexes.into_iter().filter_map(|index| writes.get(index).cloned()));
        }
        failures.extend(answer.err());
    }
    (written, failures)
}

/// The write that makes the index as the truth is, if it is not so already.
fn correction((write, held): (Write, Option<bool>)) -> Option<Write> {
    let action = if held? { Action::Rsvp } else { Action::Cancel };
    (action != write.action).then_some(Write { action, ..write })
}

/// Other writers changed the same RSVPs in every round.
#[derive(Debug, thiserror::Error)]
#[error("other writers kept changing the same RSVPs")]
struct Contended;
