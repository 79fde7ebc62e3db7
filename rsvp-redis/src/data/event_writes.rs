//! The writes to one part of an event, the commands for its set, and their replies.

use std::collections::BTreeMap;

use redis::{Cmd, Value, cmd};
use rsvp_core::{Action, Rsvp, UserId, Write};

use crate::data::keys::{Key, Keys};
use crate::data::reply::{flag, flags};
use crate::wire::failure::{Failure, refusal};

/// The most pairs of one transaction. It blocks the server for about a millisecond.
pub(crate) const MAX_TRANSACTION: usize = 512;

const MALFORMED: Failure = Failure::Malformed("unexpected reply to a write");

/// The writes to one part of an event.
pub(crate) struct Group<'a> {
    pub(crate) key: Key,
    /// The users of each action, with the numbers of their writes.
    rsvps: Vec<(usize, &'a UserId)>,
    cancels: Vec<(usize, &'a UserId)>,
}

impl<'a> Group<'a> {
    /// Groups numbered writes. They are sorted by event.
    pub(crate) fn all(keys: &Keys, writes: impl Iterator<Item = (usize, &'a Write)>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut of_event: BTreeMap<u16, usize> = BTreeMap::new();
        let mut current = None;
        for (number, Write { action, rsvp: Rsvp { user, event }, .. }) in writes {
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
                    Action::Rsvp => group.rsvps.push((number, user)),
                    Action::Cancel => group.cancels.push((number, user)),
                }
            }
        }
        groups
    }

    fn is_full(&self) -> bool {
        self.rsvps.len() + self.cancels.len() >= MAX_TRANSACTION
    }

    /// The numbers of its writes.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.rsvps.iter().chain(&self.cancels).map(|(number, _)| *number)
    }

    fn actions(&self) -> [(&'static str, &[(usize, &'a UserId)]); 2] {
        [("SADD", &self.rsvps), ("SREM", &self.cancels)]
    }

    /// Appends the commands. For a single user, the number returned by `SADD` and `SREM` suffices.
    /// For several users, an `SMISMEMBER` before it asks for the members among them.
    pub(crate) fn append_to(&self, commands: &mut Vec<Cmd>) {
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

    /// Reads the replies to the commands of [`append_to`](Self::append_to). Each number gets the
    /// result of its write, a change, no change or a failure.
    pub(crate) fn read(
        &self,
        values: &mut impl Iterator<Item = Value>,
    ) -> Vec<(usize, Result<bool, Failure>)> {
        let mut read = Vec::with_capacity(self.rsvps.len() + self.cancels.len());
        // The replies come in the order of `append_to`. The flags of `SMISMEMBER` come first, and
        // the number of changes after them.
        for (name, users) in self.actions() {
            let before = if users.len() > 1 { values.next() } else { None };
            let changed = match (users.len(), before) {
                (0, _) => continue,
                (1, _) => one_changed(values.next()),
                (_, before) => each_changed(name == "SADD", users.len(), before, values.next()),
            };
            match changed {
                Ok(changed) => {
                    let numbers = users.iter().map(|(number, _)| *number);
                    read.extend(numbers.zip(changed.into_iter().map(Ok)));
                }
                Err(failure) => {
                    let fail = |(number, _): &(usize, _)| (*number, Err(failure.clone()));
                    read.extend(users.iter().map(fail));
                }
            }
        }
        read
    }
}

fn one_changed(count: Option<Value>) -> Result<Vec<bool>, Failure> {
    match count {
        // The command failed alone, as when its key holds something else.
        Some(Value::ServerError(error)) => Err(refusal(error.into())),
        count => count.and_then(flag).map(|changed| vec![changed]).ok_or(MALFORMED),
    }
}

/// Whether each member changed, by its membership before. The number of changes must agree.
fn each_changed(
    adds: bool,
    members: usize,
    before: Option<Value>,
    count: Option<Value>,
) -> Result<Vec<bool>, Failure> {
    let count = match count {
        Some(Value::ServerError(error)) => return Err(refusal(error.into())),
        Some(Value::Int(count)) => usize::try_from(count).map_err(|_| MALFORMED)?,
        _ => return Err(MALFORMED),
    };
    let before = before.and_then(flags).filter(|before| before.len() == members);
    let changed: Vec<bool> = before.ok_or(MALFORMED)?.iter().map(|was| *was != adds).collect();
    let differs = changed.iter().filter(|changed| **changed).count();
    if differs == count { Ok(changed) } else { Err(MALFORMED) }
}
