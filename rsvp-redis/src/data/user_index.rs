//! The user index, the hash of each user's events. It is derived from the sets of the events.

use std::collections::BTreeMap;

use redis::{Cmd, cmd};
use rsvp_core::{Action, Result, Rsvp, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::membership::read_each;
use crate::data::reply::each_flag;
use crate::data::set;
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Dispatch, Request};

/// How often a pair may change while its index entry is synced.
const MAX_ROUNDS: usize = 32;

/// The most events of one command.
const MAX_FIELDS: usize = 512;

/// A change to the index of one user.
pub(crate) struct IndexCommand {
    pub(crate) key: Key,
    pub(crate) command: Cmd,
    /// The numbers of its writes.
    pub(crate) writes: Vec<usize>,
}

/// The user-index commands of numbered writes. Each user has a command to add events and a command
/// to remove events, as needed.
pub(crate) fn commands<'a>(
    keys: &Keys,
    writes: impl Iterator<Item = (usize, &'a Write)>,
) -> Vec<IndexCommand> {
    let mut full = Vec::new();
    let mut open: BTreeMap<(&UserId, bool), IndexCommand> = BTreeMap::new();
    for (number, Write { action, rsvp: Rsvp { user, event }, .. }) in writes {
        let adds = *action == Action::Rsvp;
        let of_user =
            open.entry((user, adds)).or_insert_with(|| IndexCommand::new(keys, user, adds));
        if of_user.writes.len() >= MAX_FIELDS {
            full.push(std::mem::replace(of_user, IndexCommand::new(keys, user, adds)));
        }
        of_user.writes.push(number);
        of_user.command.arg(event.as_str());
        if adds {
            of_user.command.arg("");
        }
    }
    full.extend(open.into_values());
    full
}

impl IndexCommand {
    fn new(keys: &Keys, user: &UserId, adds: bool) -> Self {
        let key = keys.user(user);
        let mut command = cmd(if adds { "HSET" } else { "HDEL" });
        command.arg(&key.name);
        Self { key, command, writes: Vec::new() }
    }

    pub(crate) fn into_request(self) -> Request {
        Request::write(self.key.slot, vec![self.command])
    }
}

/// The command to ask whether a pair is in the index of its user, and its key.
pub(crate) fn is_indexed(keys: &Keys, pair: &Rsvp) -> (Key, Cmd) {
    let key = keys.user(&pair.user);
    let command = cmd("HEXISTS").arg(&key.name).arg(pair.event.as_str()).to_owned();
    (key, command)
}

/// For each pair, whether it is in the index of its user.
pub(crate) async fn are_indexed(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    pairs: &[Rsvp],
) -> Result<Vec<bool>> {
    let request = |pair: &Rsvp| {
        let (key, command) = is_indexed(keys, pair);
        Request::read(key.slot, command)
    };
    let answers = servers.run_all(call, pairs.iter().map(request).collect()).await?;
    each_flag(call.operation, answers.into_iter().flat_map(|answer| answer.values))
}

/// Makes the user index follow `writes`, then the truth, until both agree. Returns the failure of
/// each write, if it has one.
///
/// Every writer syncs the index after it has changed the truth. Consider the last writer to the
/// index entry of a pair. Its truth either is final, or another writer has changed it and will sync
/// it. When all writers are done, index and truth agree. No writer waits for another, and no clock
/// or version is involved. A write with an unknown effect on the truth is synced like an applied
/// one.
pub(crate) async fn sync(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    writes: Vec<Write>,
) -> Vec<Option<Failure>> {
    let mut failures = vec![None; writes.len()];
    let mut open: Vec<(usize, Write)> = writes.into_iter().enumerate().collect();
    for _ in 0..MAX_ROUNDS {
        // Step 1: write the index as the writes say.
        let written = write(servers, keys, call, open, &mut failures).await;
        // Step 2: read the truth after that, not before.
        let pairs = written.iter().map(|(_, write)| &write.rsvp);
        let truth = read_each(servers, keys, call, pairs).await;
        // Step 3: go on with pairs that were changed meanwhile, until there are none.
        open = Vec::new();
        for ((place, write), held) in written.into_iter().zip(truth) {
            match held {
                Ok(held) => open.extend(correction(write, held).map(|write| (place, write))),
                Err(failure) => set(&mut failures, place, Some(failure)),
            }
        }
        if open.is_empty() {
            return failures;
        }
    }
    open.iter().for_each(|(place, _)| set(&mut failures, *place, Some(Failure::Contended)));
    failures
}

/// Writes the index. Returns the writes applied by the primary, on however many replicas.
async fn write(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    writes: Vec<(usize, Write)>,
    failures: &mut [Option<Failure>],
) -> Vec<(usize, Write)> {
    let numbered = writes.iter().enumerate().map(|(number, (_, write))| (number, write));
    let (numbers, requests): (Vec<_>, Vec<_>) = commands(keys, numbered)
        .into_iter()
        .map(|index| (index.writes.clone(), index.into_request()))
        .unzip();
    let mut written = Vec::with_capacity(writes.len());
    for (numbers, answer) in numbers.into_iter().zip(servers.run(call, requests).await) {
        let went = matches!(answer, Ok(_) | Err(Failure::NotReplicated(_)));
        for (place, write) in numbers.into_iter().filter_map(|number| writes.get(number)) {
            if let Err(failure) = &answer {
                set(failures, *place, Some(failure.clone()));
            }
            if went {
                written.push((*place, write.clone()));
            }
        }
    }
    written
}

/// The write to bring the index to the truth, if they differ.
fn correction(write: Write, held: bool) -> Option<Write> {
    let action = if held { Action::Rsvp } else { Action::Cancel };
    (action != write.action).then(|| Write::new(action, write.rsvp))
}
