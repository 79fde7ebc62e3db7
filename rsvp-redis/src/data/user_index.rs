//! Reading the truth of pairs, and making the users' side follow it.

use std::collections::HashMap;
use std::sync::Arc;

use redis::cmd;
use rsvp_core::{Action, Effect, Error, Operation, Result, Rsvp, Write};

use crate::data::keys::{Key, Keys};
use crate::data::write::{flag, flags, together, user_side};
use crate::wire::client::Network;
use crate::wire::failure::{Contended, Failure};
use crate::wire::request::{Answer, Unit};

/// How often a pair may change under the eyes of one who settles it.
const ROUNDS: usize = 32;

/// For each pair, whether it exists: one command for each part of an event.
pub(crate) async fn read_truth<'a>(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    pairs: impl Iterator<Item = &'a Rsvp>,
) -> Result<Vec<bool>> {
    let (held, failures) = read_each(network, keys, operation, pairs).await;
    match together(operation, false, failures) {
        Some(error) => Err(error),
        None => Ok(held.into_iter().map(|held| held.unwrap_or(false)).collect()),
    }
}

/// For each pair, whether it exists if that is known, and why of others it is not.
async fn read_each<'a>(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    pairs: impl Iterator<Item = &'a Rsvp>,
) -> (Vec<Option<bool>>, Vec<Failure>) {
    let mut groups: Vec<(Key, Vec<(usize, &Rsvp)>)> = Vec::new();
    let mut places: HashMap<(&str, u16), usize> = HashMap::new();
    let mut count = 0;
    for (place, pair) in pairs.enumerate() {
        let part = keys.part_of(&pair.user);
        let at = *places.entry((pair.event.as_str(), part)).or_insert_with(|| {
            groups.push((keys.event(&pair.event, part), Vec::new()));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(at) {
            members.push((place, pair));
        }
        count = place + 1;
    }
    let unit = |(key, members): &(Key, Vec<(usize, &Rsvp)>)| {
        let mut command = cmd(if members.len() == 1 { "SISMEMBER" } else { "SMISMEMBER" });
        command.arg(&key.name);
        let users: Vec<&str> = members.iter().map(|(_, pair)| pair.user.as_str()).collect();
        command.arg(users);
        Unit::read(key.slot, command)
    };
    let answers = network.run(operation, groups.iter().map(unit).collect()).await;
    let (mut held, mut failures) = (vec![None; count], Vec::new());
    for ((_, members), answer) in groups.iter().zip(answers) {
        match answer.and_then(|answer| yes_or_no(answer, members.len())) {
            Ok(answers) => {
                for ((place, _), answer) in members.iter().zip(answers) {
                    if let Some(held) = held.get_mut(*place) {
                        *held = Some(answer);
                    }
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    (held, failures)
}

fn yes_or_no(answer: Answer, count: usize) -> Result<Vec<bool>, Failure> {
    let value = answer.values.into_iter().next();
    let answers = match count {
        1 => value.and_then(flag).map(|held| vec![held]),
        _ => value.and_then(flags),
    };
    answers
        .filter(|answers| answers.len() == count)
        .ok_or(Failure::Unreadable("an answer that is neither yes nor no"))
}

/// Makes the users' side as `writes` say, looks at the truth again, and goes on with what has
/// changed meanwhile.
///
/// Whoever changes the truth settles it afterwards. So the last one who wrote a pair to the users'
/// side has seen a truth that nobody has changed since, or that somebody is about to settle: when
/// all are done, both sides agree. Nobody has to wait for anybody, and no clock or version is
/// involved.
///
/// Where some of it fails, the rest is settled all the same.
pub(crate) async fn settle(
    network: &Arc<Network>,
    keys: &Keys,
    operation: Operation,
    mut writes: Vec<Write>,
) -> Result<()> {
    let mut failures = Vec::new();
    for _ in 0..ROUNDS {
        let commands = user_side(keys, writes.iter());
        let (places, units): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .map(|(key, places, command)| (places, Unit::write(key.slot, vec![command])))
            .unzip();
        let mut written = Vec::with_capacity(writes.len());
        for (places, answer) in places.into_iter().zip(network.run(operation, units).await) {
            if matches!(answer, Ok(_) | Err(Failure::NotReplicated(_))) {
                written.extend(places.into_iter().filter_map(|place| writes.get(place).cloned()));
            }
            failures.extend(answer.err());
        }
        let pairs = written.iter().map(|write| &write.rsvp);
        let (truth, unread) = read_each(network, keys, operation, pairs).await;
        failures.extend(unread);
        writes = written.into_iter().zip(truth).filter_map(follow).collect();
        if writes.is_empty() {
            return together(operation, true, failures).map_or(Ok(()), Err);
        }
    }
    Err(Error::unavailable(operation, Effect::Unknown, Some(Contended.into())))
}

/// The write that makes the users' side as the truth is, if it is not what has been written.
fn follow((write, held): (Write, Option<bool>)) -> Option<Write> {
    let action = if held? { Action::Rsvp } else { Action::Cancel };
    (action != write.action).then_some(Write { action, ..write })
}
