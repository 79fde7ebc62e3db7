//! Writing pairs, and what each changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{Cmd, Value, cmd};
use rsvp_core::{Action, Effect, Error, Operation, Result, Rsvp, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::user_index::settle;
use crate::wire::client::Network;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Unit};

/// Pairs that one transaction changes at most. It keeps everybody else waiting for about a
/// millisecond.
const TRANSACTION: usize = 512;

/// Applies writes, of which no two are of the same pair; whether each changed anything.
pub(crate) async fn apply(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> Result<Vec<bool>> {
    if network.config().cluster {
        let (changed, done, failure) = change_events(network, keys, operation, writes).await;
        // Also if a part failed: the users' side follows what went through, whether or not the
        // call is repeated.
        let settled = settle(network, keys, operation, done).await;
        if let Some(error) = failure {
            return Err(error);
        }
        settled.map_err(|error| error.with_effect(Effect::Unknown))?;
        Ok(changed)
    } else {
        change_both(network, keys, operation, writes).await
    }
}

/// In a cluster: a transaction for each part of an event, all at once. Whether each write changed
/// anything; those that certainly went through, on whichever replicas they are; and what went wrong
/// with the others.
async fn change_events(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> (Vec<bool>, Vec<Write>, Option<Error>) {
    let groups = Group::all(keys, writes.iter().enumerate());
    let unit = |group: &Group<'_>| {
        let mut commands = Vec::new();
        group.append_to(&mut commands);
        Unit::write(group.key.slot, commands)
    };
    let answers = network.run(operation, groups.iter().map(unit).collect()).await;
    let mut changed = vec![false; writes.len()];
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for (group, answer) in groups.iter().zip(answers) {
        let read = answer.and_then(|answer| {
            let unreadable = Failure::Unreadable("an answer that no write has");
            group.read(&mut answer.values.into_iter(), &mut changed).ok_or(unreadable)
        });
        if matches!(read, Ok(()) | Err(Failure::NotReplicated(_))) {
            done.extend(group.places().filter_map(|place| writes.get(place).cloned()));
        }
        failures.extend(read.err());
    }
    let failure = together(operation, !done.is_empty(), failures);
    (changed, done, failure)
}

/// On a single server: both directions in one transaction, so that they never differ.
async fn change_both(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    writes: &[Write],
) -> Result<Vec<bool>> {
    let numbered: Vec<(usize, &Write)> = writes.iter().enumerate().collect();
    let pieces: Vec<_> =
        numbered.chunks(TRANSACTION).map(|piece| Group::all(keys, piece.iter().copied())).collect();
    let unit = |(groups, piece): (&Vec<Group<'_>>, &[(usize, &Write)])| {
        let mut commands = Vec::with_capacity(2 * piece.len());
        groups.iter().for_each(|group| group.append_to(&mut commands));
        let users = user_side(keys, piece.iter().map(|(_, write)| *write));
        commands.extend(users.into_iter().map(|(_, _, command)| command));
        Unit::write(0, commands)
    };
    let units = pieces.iter().zip(numbered.chunks(TRANSACTION)).map(unit).collect();
    let answers = all(operation, network.run(operation, units).await)?;
    let mut changed = vec![false; writes.len()];
    for (groups, answer) in pieces.iter().zip(answers) {
        let mut values = answer.values.into_iter();
        for group in groups {
            group
                .read(&mut values, &mut changed)
                .ok_or_else(|| Error::corrupt(operation, "an answer that no write has"))?;
        }
    }
    Ok(changed)
}

/// The writes to one part of an event.
struct Group<'a> {
    key: Key,
    /// The users of each action, with the place of their write.
    rsvps: Vec<(usize, &'a UserId)>,
    cancels: Vec<(usize, &'a UserId)>,
}

impl<'a> Group<'a> {
    /// Groups writes that are sorted by event.
    fn all(keys: &Keys, writes: impl Iterator<Item = (usize, &'a Write)>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut of_event: BTreeMap<u16, usize> = BTreeMap::new();
        let mut current = None;
        for (place, Write { action, rsvp: Rsvp { user, event } }) in writes {
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
                    Action::Rsvp => group.rsvps.push((place, user)),
                    Action::Cancel => group.cancels.push((place, user)),
                }
            }
        }
        groups
    }

    fn is_full(&self) -> bool {
        self.rsvps.len() + self.cancels.len() >= TRANSACTION
    }

    /// The places of its writes.
    fn places(&self) -> impl Iterator<Item = usize> {
        self.rsvps.iter().chain(&self.cancels).map(|(place, _)| *place)
    }

    fn actions(&self) -> [(&'static str, &[(usize, &'a UserId)]); 2] {
        [("SADD", &self.rsvps), ("SREM", &self.cancels)]
    }

    /// The number that `SADD` and `SREM` return says enough of a single user; of several, who was
    /// in before has to be asked first.
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

    /// Reads the answers to what [`append_to`](Self::append_to) appended.
    fn read(&self, values: &mut impl Iterator<Item = Value>, changed: &mut [bool]) -> Option<()> {
        for (name, users) in self.actions() {
            let adds = name == "SADD";
            if let [(place, _)] = users {
                *changed.get_mut(*place)? = flag(values.next()?)?;
            } else if !users.is_empty() {
                let before = flags(values.next()?)?;
                let Value::Int(count) = values.next()? else { return None };
                let differs = before.iter().filter(|was| **was != adds).count();
                if before.len() != users.len() || usize::try_from(count).ok()? != differs {
                    return None;
                }
                for ((place, _), was) in users.iter().zip(before) {
                    *changed.get_mut(*place)? = was != adds;
                }
            }
        }
        Some(())
    }
}

/// One command for each user, for all events that were added, or removed, with the places of the
/// writes.
pub(crate) fn user_side<'a>(
    keys: &Keys,
    writes: impl Iterator<Item = &'a Write>,
) -> Vec<(Key, Vec<usize>, Cmd)> {
    let mut commands: BTreeMap<(&UserId, bool), (Key, Vec<usize>, Cmd)> = BTreeMap::new();
    for (place, Write { action, rsvp: Rsvp { user, event } }) in writes.enumerate() {
        let adds = *action == Action::Rsvp;
        let (_, places, command) = commands.entry((user, adds)).or_insert_with(|| {
            let key = keys.user(user);
            let mut command = cmd(if adds { "HSET" } else { "HDEL" });
            command.arg(&key.name);
            (key, Vec::new(), command)
        });
        places.push(place);
        command.arg(event.as_str());
        if adds {
            command.arg("");
        }
    }
    commands.into_values().collect()
}

/// The answers to all of a call's units, or what went wrong with the first that failed.
pub(crate) fn all(
    operation: Operation,
    answers: Vec<Result<Answer, Failure>>,
) -> Result<Vec<Answer>> {
    let (mut good, mut failures) = (Vec::with_capacity(answers.len()), Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) => good.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    together(operation, !good.is_empty(), failures).map_or(Ok(good), Err)
}

/// The failures of some parts of a call as one: its effect is unknown if any part `went` through
/// or may have. Whether it is worth repeating is as with the worst of them.
pub(crate) fn together(operation: Operation, went: bool, failures: Vec<Failure>) -> Option<Error> {
    let unknown = went || failures.iter().any(|failure| failure.effect() == Effect::Unknown);
    let mut errors: Vec<_> =
        failures.into_iter().map(|failure| failure.into_error(operation)).collect();
    errors.sort_by_key(Error::is_retryable);
    let error = errors.into_iter().next()?;
    let unknown = unknown && operation.is_write();
    Some(if unknown { error.with_effect(Effect::Unknown) } else { error })
}

/// An array of zeros and ones.
pub(crate) fn flags(value: Value) -> Option<Vec<bool>> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(flag).collect()
}

pub(crate) fn flag(value: Value) -> Option<bool> {
    match value {
        Value::Int(0) | Value::Boolean(false) => Some(false),
        Value::Int(1) | Value::Boolean(true) => Some(true),
        _ => None,
    }
}
