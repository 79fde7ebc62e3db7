//! The membership of pairs, read from the sets of their events, the truth.

use std::collections::HashMap;

use redis::{Cmd, cmd};
use rsvp_core::{Result, Rsvp};

use crate::data::keys::{Key, Keys};
use crate::data::reply::{flag, flags};
use crate::data::{MAX_PIECE, set};
use crate::wire::call_deadline::Call;
use crate::wire::failure::Failure;
use crate::wire::request::{Answer, Dispatch, Request};

/// The most members of one command.
const MAX_MEMBERS: usize = 1024;

/// For each pair, whether it exists, in one round trip for each piece of them.
pub(crate) async fn read(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    pairs: &[Rsvp],
) -> Vec<Result<bool>> {
    let mut held = Vec::with_capacity(pairs.len());
    for piece in pairs.chunks(MAX_PIECE) {
        let answers = read_each(servers, keys, call, piece.iter()).await.into_iter();
        held.extend(answers.map(|held| held.map_err(|failure| failure.into_error(call.operation))));
    }
    held
}

/// For each pair, whether it exists. Sends one command or more for each part of an event.
pub(crate) async fn read_each<'a>(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    pairs: impl Iterator<Item = &'a Rsvp>,
) -> Vec<Result<bool, Failure>> {
    let (groups, count) = group(keys, pairs);
    let requests = groups.iter().map(Group::request).collect();
    let answers = servers.run(call, requests).await;
    let mut held = vec![Err(Failure::Malformed("no reply to SMISMEMBER")); count];
    for (group, answer) in groups.iter().zip(answers) {
        match answer.and_then(|answer| group.read(answer)) {
            Ok(flags) => group.members.iter().zip(flags).for_each(|((index, _), flag)| {
                set(&mut held, *index, Ok(flag));
            }),
            Err(failure) => group.members.iter().for_each(|(index, _)| {
                set(&mut held, *index, Err(failure.clone()));
            }),
        }
    }
    held
}

/// The command to ask whether a pair exists, and its key.
pub(crate) fn is_member(keys: &Keys, pair: &Rsvp) -> (Key, Cmd) {
    let key = keys.event(&pair.event, keys.part_of(&pair.user));
    let command = cmd("SISMEMBER").arg(&key.name).arg(pair.user.as_str()).to_owned();
    (key, command)
}

/// Pairs of one part of an event, with their indexes.
struct Group<'a> {
    key: Key,
    members: Vec<(usize, &'a Rsvp)>,
}

/// Groups pairs, and counts them.
fn group<'a>(keys: &Keys, pairs: impl Iterator<Item = &'a Rsvp>) -> (Vec<Group<'a>>, usize) {
    let mut groups: Vec<Group<'a>> = Vec::new();
    // The last group of each part, which may have room.
    let mut open: HashMap<(&str, u16), usize> = HashMap::new();
    let mut count = 0;
    for (index, pair) in pairs.enumerate() {
        count = index + 1;
        let of = (pair.event.as_str(), keys.part_of(&pair.user));
        let group = open.get(&of).and_then(|at| groups.get_mut(*at));
        match group.filter(|group| group.members.len() < MAX_MEMBERS) {
            Some(group) => group.members.push((index, pair)),
            None => {
                open.insert(of, groups.len());
                let key = keys.event(&pair.event, of.1);
                groups.push(Group { key, members: vec![(index, pair)] });
            }
        }
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
