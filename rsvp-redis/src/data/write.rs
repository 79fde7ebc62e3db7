//! Writing pairs, and reading which of them changed.

use std::collections::BTreeMap;

use redis::{Cmd, Value, cmd};
use rsvp_core::backend::{FoldedBatch, combine_errors};
use rsvp_core::{Action, Effect, Error, Operation, Result, Rsvp, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::reply::{flag, flags};
use crate::data::user_index::{commands, sync};
use crate::wire::failure::Failure;
use crate::wire::request::{Dispatch, Request};

/// The most pairs that one transaction changes. It blocks the server for about a millisecond.
const MAX_TRANSACTION: usize = 512;

const MALFORMED: &str = "unexpected reply to a write";

/// Applies writes, of which no two are of the same pair. Returns whether each changed anything.
pub(crate) async fn apply(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> Result<Vec<bool>> {
    if servers.is_cluster() {
        let (changed, done, error) = change_events(servers, keys, operation, writes).await;
        // Also if a part failed: the user index follows the writes that went through, whether or
        // not the call is repeated.
        let synced = sync(servers, keys, operation, done).await;
        if let Some(error) = error {
            return Err(error);
        }
        synced.map_err(|error| error.with_effect(Effect::Unknown))?;
        Ok(changed)
    } else {
        change_both(servers, keys, operation, writes).await
    }
}

/// Cancels writes of one event. Returns whether each of them, folded, changed anything.
///
/// In a cluster the user index is changed first: once the event's set is empty, nothing leads to
/// the entries of its users, and a removal that stopped could not be taken up again.
pub(crate) async fn cancel_attendees(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    cancels: &[Write],
) -> Result<Vec<bool>> {
    let batch = FoldedBatch::new(cancels);
    if !servers.is_cluster() {
        return apply(servers, keys, operation, batch.finals()).await;
    }
    let requests = commands(keys, cancels.iter()).into_iter();
    let requests = requests.map(|index| Request::write(index.key.slot, vec![index.command]));
    let changed = match servers.run_all(operation, requests.collect()).await {
        Ok(_) => apply(servers, keys, operation, batch.finals()).await,
        Err(error) => Err(error),
    };
    if changed.is_err() {
        // Puts back the entries of users who stay. The first error is the one to report.
        let _ = sync(servers, keys, operation, cancels.to_vec()).await;
    }
    changed.map_err(|error| error.with_effect(Effect::Unknown))
}

/// In a cluster: one transaction for each part of an event, all at once. Returns whether each write
/// changed anything, the writes that certainly went through, on however many replicas, and the
/// error of the others.
async fn change_events(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> (Vec<bool>, Vec<Write>, Option<Error>) {
    let groups = Group::all(keys, writes.iter().enumerate());
    let request = |group: &Group<'_>| {
        let mut commands = Vec::new();
        group.append_to(&mut commands);
        Request::write(group.key.slot, commands)
    };
    let answers = servers.run(operation, groups.iter().map(request).collect()).await;
    let mut changed = vec![false; writes.len()];
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for (group, answer) in groups.iter().zip(answers) {
        let read = answer.and_then(|answer| {
            let read = group.read(&mut answer.values.into_iter(), &mut changed);
            read.ok_or(Failure::Malformed(MALFORMED))
        });
        if matches!(read, Ok(()) | Err(Failure::NotReplicated(_))) {
            done.extend(group.indexes().filter_map(|index| writes.get(index).cloned()));
        }
        failures.extend(read.err());
    }
    let errors = failures.into_iter().map(|failure| failure.into_error(operation));
    let error = combine_errors(errors, !done.is_empty());
    (changed, done, error)
}

/// On a single server: sets and user index in one transaction, so that they never differ.
async fn change_both(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> Result<Vec<bool>> {
    let numbered: Vec<(usize, &Write)> = writes.iter().enumerate().collect();
    let chunks = numbered.chunks(MAX_TRANSACTION);
    let transactions: Vec<_> =
        chunks.clone().map(|chunk| Group::all(keys, chunk.iter().copied())).collect();
    let request = |(groups, chunk): (&Vec<Group<'_>>, &[(usize, &Write)])| {
        let mut transaction = Vec::with_capacity(2 * chunk.len());
        groups.iter().for_each(|group| group.append_to(&mut transaction));
        let indexes = commands(keys, chunk.iter().map(|(_, write)| *write));
        transaction.extend(indexes.into_iter().map(|index| index.command));
        Request::write(0, transaction)
    };
    let requests = transactions.iter().zip(chunks).map(request).collect();
    let answers = servers.run_all(operation, requests).await?;
    let mut changed = vec![false; writes.len()];
    for (groups, answer) in transactions.iter().zip(answers) {
        let mut values = answer.values.into_iter();
        for group in groups {
            group
                .read(&mut values, &mut changed)
                .ok_or_else(|| Error::corrupt(operation, MALFORMED))?;
        }
    }
    Ok(changed)
}

/// The writes to one part of an event.
struct Group<'a> {
    key: Key,
    /// The users of each action, with the indexes of their writes.
    rsvps: Vec<(usize, &'a UserId)>,
    cancels: Vec<(usize, &'a UserId)>,
}

impl<'a> Group<'a> {
    /// Groups writes that are sorted by event.
    fn all(keys: &Keys, writes: impl Iterator<Item = (usize, &'a Write)>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut of_event: BTreeMap<u16, usize> = BTreeMap::new();
        let mut current = None;
        for (index, Write { action, rsvp: Rsvp { user, event } }) in writes {
            if current != Some(event) {
                current = Some(event);
                of_event.clear();
            }
            let part = keys.part_of(user);
            let open = of_event.get(&part).copied();
            let at = open.filter(|at| groups.get(*at).is_some_and(|group| !group.is_full()));
            let at = at.unwrap_or_else(|| {
                let key = keys.event(event, part);
                groups.push(Self { key, rsvps: Vec::new(), cancels: Vec::new() });
                of_event.insert(part, groups.len() - 1);
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                match action {
                    Action::Rsvp => group.rsvps.push((index, user)),
                    Action::Cancel => group.cancels.push((index, user)),
                }
            }
        }
        groups
    }

    fn is_full(&self) -> bool {
        self.rsvps.len() + self.cancels.len() >= MAX_TRANSACTION
    }

    /// The indexes of its writes.
    fn indexes(&self) -> impl Iterator<Item = usize> {
        self.rsvps.iter().chain(&self.cancels).map(|(index, _)| *index)
    }

    fn actions(&self) -> [(&'static str, &[(usize, &'a UserId)]); 2] {
        [("SADD", &self.rsvps), ("SREM", &self.cancels)]
    }

    /// The number that `SADD` and `SREM` return suffices for a single user. For several users, a
    /// command before it asks which of them were members.
    fn append_to(&self, commands: &mut Vec<Cmd>) {
        for (name, users) in self.actions() {
            let about = |name: &str| {
                let mut command = cmd(name);
                command.arg(&self.key.name);
                command.arg(users.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>());
                command
            };
            if users.len() > 1 {
                commands.push(about("SMISMEMBER"));
            }
            if !users.is_empty() {
                commands.push(about(name));
            }
        }
    }

    /// Reads the replies that [`append_to`](Self::append_to) caused.
    fn read(&self, values: &mut impl Iterator<Item = Value>, changed: &mut [bool]) -> Option<()> {
        for (name, users) in self.actions() {
            let adds = name == "SADD";
            if let [(index, _)] = users {
                *changed.get_mut(*index)? = flag(values.next()?)?;
            } else if !users.is_empty() {
                let before = flags(values.next()?)?;
                let Value::Int(count) = values.next()? else { return None };
                let differs = before.iter().filter(|was| **was != adds).count();
                if before.len() != users.len() || usize::try_from(count).ok()? != differs {
                    return None;
                }
                for ((index, _), was) in users.iter().zip(before) {
                    *changed.get_mut(*index)? = was != adds;
                }
            }
        }
        Some(())
    }
}
