//! Pages of one set or hash, by `SSCAN` and `HSCAN`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use redis::{Value, cmd};
use rsvp_core::{Error, Operation, Result};

use crate::data::keys::{Key, Kind};
use crate::data::write::all;
use crate::wire::client::Network;
use crate::wire::request::Unit;

/// A scan returns a few more members than it is asked for. Asking for so many fewer makes most
/// answers fit into a page.
const SURPLUS: usize = 16;

/// Where a listing of one set or hash goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The server whose scan it is. Another one visits the members in another order.
    pub(crate) server: u64,
    /// The cursor of the scan, 0 at its beginning.
    pub(crate) scan: u64,
    /// What has been listed of the answer that this cursor gives, if it did not fit.
    pub(crate) part: Option<Part>,
}

/// The beginning of an answer, in the order of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The last member that has been listed.
    pub(crate) last: String,
    /// A digest of all up to it, to see whether the next answer begins the same. None if the answer
    /// held everything, so that whatever is not after the last has been listed or was not there.
    pub(crate) digest: Option<u64>,
}

/// Members, and where the listing goes on if it does.
pub(crate) struct Listed {
    pub(crate) members: Vec<String>,
    pub(crate) next: Option<Position>,
}

/// At most `limit` members from `position` on, in one round trip, or two if the server is another
/// one by now.
pub(crate) async fn list(
    network: &Arc<Network>,
    operation: Operation,
    (key, kind): (&Key, Kind),
    mut position: Position,
    limit: usize,
) -> Result<Listed> {
    loop {
        let count = if limit < 2 * SURPLUS { limit } else { limit - SURPLUS };
        let unit = scan_unit(key, kind, position.scan, count);
        let answer = all(operation, network.run(operation, vec![unit]).await)?;
        let answer = answer.into_iter().next();
        let answer = answer.ok_or_else(|| Error::corrupt(operation, "no answer to a scan"))?;
        if position.scan != 0 && position.server != answer.server {
            position = Position::default();
            continue;
        }
        let value = answer.values.into_iter().next();
        let (next, members) = read_scan(operation, kind, value)?;
        position.server = answer.server;
        return Ok(take(position, next, members, limit));
    }
}

pub(crate) fn scan_unit(key: &Key, kind: Kind, scan: u64, count: usize) -> Unit {
    let mut command = cmd(match kind {
        Kind::Event => "SSCAN",
        Kind::User => "HSCAN",
    });
    command.arg(&key.name).arg(scan).arg("COUNT").arg(count);
    Unit::read(key.slot, command)
}

/// The members that an answer adds to a page, of an answer that goes on at `next`.
pub(crate) fn take(
    position: Position,
    next: u64,
    mut members: Vec<String>,
    limit: usize,
) -> Listed {
    members.sort_unstable();
    members.dedup();
    let whole = position.scan == 0 && next == 0;
    let listed = match &position.part {
        None => 0,
        Some(Part { last, digest }) => {
            let upto = members.partition_point(|member| member <= last);
            match digest {
                None => upto,
                Some(before) if *before == digest_of(&members, upto) => upto,
                // The answer is of other members: list it again rather than miss one.
                Some(_) => 0,
            }
        }
    };
    let end = members.len().min(listed + limit);
    if end < members.len() {
        let digest = (!whole).then(|| digest_of(&members, end));
        let last = members.get(end - 1).cloned().unwrap_or_default();
        let members = members.into_iter().take(end).skip(listed).collect();
        return Listed {
            members,
            next: Some(Position { part: Some(Part { last, digest }), ..position }),
        };
    }
    let members = members.into_iter().skip(listed).collect();
    let next = (next != 0).then_some(Position { scan: next, part: None, ..position });
    Listed { members, next }
}

/// Only compared with others of the same process or build: another one lists a part again.
fn digest_of(members: &[String], upto: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    members.iter().take(upto).for_each(|member| member.hash(&mut hasher));
    hasher.finish()
}

/// Reads the answer to a scan: its next cursor, and members or fields.
pub(crate) fn read_scan(
    operation: Operation,
    kind: Kind,
    value: Option<Value>,
) -> Result<(u64, Vec<String>)> {
    let corrupt = || Error::corrupt(operation, "an answer to a scan that is none");
    let Some(Value::Array(answer)) = value else { return Err(corrupt()) };
    let Ok([next, entries]) = <[Value; 2]>::try_from(answer) else { return Err(corrupt()) };
    let step = match kind {
        Kind::Event => 1,
        Kind::User => 2,
    };
    let entries = match entries {
        Value::Array(entries) | Value::Set(entries) => entries,
        _ => return Err(corrupt()),
    };
    let members = entries.into_iter().step_by(step).map(|entry| text(operation, entry));
    let next = text(operation, next)?.parse().map_err(|_| corrupt())?;
    Ok((next, members.collect::<Result<_>>()?))
}

pub(crate) fn text(operation: Operation, value: Value) -> Result<String> {
    let text = match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    };
    text.ok_or_else(|| Error::corrupt(operation, "a stored id that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    fn take_all(
        position: Position,
        next: u64,
        members: &str,
        limit: usize,
    ) -> (String, Option<Position>) {
        let listed = take(position, next, names(members), limit);
        (listed.members.concat(), listed.next)
    }

    #[test]
    fn an_answer_that_is_too_long_is_listed_in_parts() {
        for scan in [0, 7] {
            let start = Position { scan, ..Position::default() };
            let (first, next) = take_all(start, 9, "cabed", 2);
            assert_eq!(first, "ab");
            let (second, next) = take_all(next.unwrap(), 9, "ecdba", 2);
            assert_eq!(second, "cd");
            let (third, next) = take_all(next.unwrap(), 9, "abcde", 2);
            assert_eq!(third, "e");
            assert_eq!(next, Some(Position { scan: 9, ..Position::default() }));
        }
    }

    #[test]
    fn an_answer_that_has_changed_is_listed_again() {
        let (_, next) = take_all(Position { scan: 7, ..Position::default() }, 9, "bcde", 2);
        let (again, _) = take_all(next.unwrap(), 9, "abcde", 9);
        assert_eq!(again, "abcde", "a was not in the first answer, so it has not been listed");
    }

    #[test]
    fn what_came_meanwhile_does_not_begin_a_whole_set_again() {
        let (first, next) = take_all(Position::default(), 0, "bcde", 2);
        assert_eq!(first, "bc");
        // Also when the set has become one that is scanned in several answers.
        let (second, next) = take_all(next.unwrap(), 5, "abd", 9);
        assert_eq!(second, "d");
        assert_eq!(next.unwrap().scan, 5);
    }
}
