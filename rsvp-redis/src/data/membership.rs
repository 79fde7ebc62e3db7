//! Membership: the truth of pairs, read from the sets of their events.

use std::collections::HashMap;

use redis::{Cmd, cmd};
use rsvp_core::backend::combine_errors;
use rsvp_core::{Operation, Result, Rsvp};

use crate::data::keys::{Key, Keys};
use crate::data::reply::{flag, flags};
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch, Request};

/// For each pair, whether it exists.
pub(crate) async fn read(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    pairs: &[Rsvp],
) -> Result<Vec<bool>> {
    let (held, failures) = read_each(servers, keys, operation, pairs.iter()).await;
    let errors = failures.into_iter().map(|failure| failure.into_error(operation));
    match combine_errors(errors, false) {
        Some(error) => Err(error),
        None => Ok(held.into_iter().map(|held| held.unwrap_or(false)).collect()),
    }
}

/// For each pair, whether it exists, or `None` if that cannot be read. Sends one command for each
/// part of an event.
pub(crate) async fn read_each<'a>(
    servers: &impl Dispatch,
    keys: &Keys,
    operation: Operation,
    pairs: impl Iterator<Item = &'a Rsvp>,
) -> (Vec<Option<bool>>, Vec<Failure>) {
    let (groups, count) = group(keys, pairs);
    let requests = groups.iter().map(Group::request).collect();
    let answers = servers.run(operation, requests).await;
    let (mut held, mut failures) = (vec![None; count], Vec::new());
    for (group, answer) in groups.iter().zip(answers) {
        match answer.and_then(|answer| group.read(answer)) {
            Ok(flags) => {
                for ((index, _), flag) in group.members.iter().zip(flags) {
                    if let Some(held) = held.get_mut(*index) {
                        *held = Some(flag);
                    }
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    (held, failures)
}

/// The command that tells whether a pair exists, and its key.
pub(crate) fn is_member(keys: &Keys, pair: &Rsvp) -> (Key, Cmd) {
    let key = keys.event(&pair.event, keys.part_of(&pair.user));
    let command = cmd("SISMEMBER").arg(&key.name).arg(pair.user.as_str()).to_owned();
    (key, command)
}

/// The pairs of one part of an event, with their indexes.
struct Group<'a> {
    key: Key,
    members: Vec<(usize, &'a Rsvp)>,
}

/// Groups pairs, and counts them.
fn group<'a>(keys: &Keys, pairs: impl Iterator<Item = &'a Rsvp>) -> (Vec<Group<'a>>, usize) {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut group_of: HashMap<(&str, u16), usize> = HashMap::new();
    let mut count = 0;
    for (index, pair) in pairs.enumerate() {
        let part = keys.part_of(&pair.user);
        let at = *group_of.entry((pair.event.as_str(), part)).or_insert_with(|| {
            groups.push(Group { key: keys.event(&pair.event, part), members: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            group.members.push((index, pair));
        }
        count = index + 1;
    }
    (groups, count)
}

impl Group<'_> {
    fn request(&self) -> Request {
        let mut command = cmd(if self.members.len() == 1 { "SISMEMBER" } else { "SMISMEMBER" });
        command.arg(&self.key.name);
        let users: Vec<&str> = self.members.iter().map(|(_, pair)| pair.user.as_str()).collect();
        command.arg(users);
        Request::read(self.key.slot, command)
    }

    fn read(&self, answer: Answer) -> Result<Vec<bool>, Failure> {
        let value = answer.into_value();
        let read = match self.members.len() {
            1 => value.and_then(flag).map(|held| vec![held]),
            _ => value.and_then(flags),
        };
        read.filter(|read| read.len() == self.members.len())
            .ok_or(Failure::Malformed("unexpected reply to SMISMEMBER"))
    }
}
