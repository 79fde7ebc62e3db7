//! Reading the truth of pairs, and making the users' side follow it.

use std::collections::HashMap;

use redis::cmd;
use rsvp_core::{Action, Effect, Error, Operation, Result, Rsvp, Write};

use crate::error::Contended;
use crate::keys::{Key, Keys};
use crate::network::Network;
use crate::unit::Unit;
use crate::write::{all, flag, flags, user_side};

/// How often a pair may change under the eyes of one who settles it.
const ROUNDS: usize = 32;

/// For each pair, whether it exists: one command for each part of an event.
pub(crate) async fn read_truth<'a>(
    network: &Network,
    keys: &Keys,
    operation: Operation,
    pairs: impl Iterator<Item = &'a Rsvp>,
) -> Result<Vec<bool>> {
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
    let units = groups.iter().map(unit).collect();
    let answers = all(operation, network.run(operation, units).await)?;
    let mut held = vec![false; count];
    for ((_, members), answer) in groups.iter().zip(answers) {
        let value = answer.values.into_iter().next();
        let answers = match members.len() {
            1 => value.and_then(flag).map(|held| vec![held]),
            _ => value.and_then(flags),
        };
        let answers = answers.filter(|answers| answers.len() == members.len());
        let answers = answers
            .ok_or_else(|| Error::corrupt(operation, "an answer that is neither yes nor no"))?;
        for ((place, _), answer) in members.iter().zip(answers) {
            if let Some(held) = held.get_mut(*place) {
                *held = answer;
            }
        }
    }
    Ok(held)
}

/// Makes the users' side as `writes` say, looks at the truth again, and goes on with what has
/// changed meanwhile.
///
/// Whoever changes the truth settles it afterwards. So the last one who wrote a pair to the
/// users' side has seen a truth that nobody has changed since, or that somebody is about to
/// settle: when all are done, both sides agree. Nobody has to wait for anybody, and no clock or version is involved.
pub(crate) async fn settle(
    network: &Network,
    keys: &Keys,
    operation: Operation,
    mut writes: Vec<Write>,
) -> Result<()> {
    for _ in 0..ROUNDS {
        let commands = user_side(keys, writes.iter());
        let unit = |(key, command): (Key, _)| Unit::write(key.slot, vec![command]);
        let units = commands.into_iter().map(unit).collect();
        all(operation, network.run(operation, units).await)?;
        let pairs = writes.iter().map(|write| &write.rsvp);
        let truth = read_truth(network, keys, operation, pairs).await?;
        writes = writes.into_iter().zip(truth).filter_map(follow).collect();
        if writes.is_empty() {
            return Ok(());
        }
    }
    Err(Error::unavailable(operation, Effect::Unknown, Some(Contended.into())))
}

/// The write that makes the users' side as the truth is, if it is not what has been written.
fn follow((write, held): (Write, bool)) -> Option<Write> {
    let action = if held { Action::Rsvp } else { Action::Cancel };
    (action != write.action).then_some(Write { action, ..write })
}
