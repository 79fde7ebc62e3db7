//! Pages of one set or hash, by `SSCAN` and `HSCAN`.
//!
//! A reply may be longer than a page. The next page then asks for the same reply again and skips
//! the members already listed. The state of the scan holds the last listed member, and a digest of
//! the members up to it. If a later reply begins with other members, it is listed from its
//! beginning.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::{Value, cmd};
use rsvp_core::{Error, Operation, Result};

use crate::data::cursor::{Listed, ScanState};
use crate::data::keys::{Key, Kind};
use crate::data::reply;
use crate::wire::call_deadline::Call;
use crate::wire::request::{Dispatch, Request};

/// A scan returns a few more members than it is asked for. Asking for this many fewer makes most
/// replies fit into a page.
const SURPLUS: usize = 16;

/// A page of members, and the state at the beginning of the next page, if there is one.
pub(crate) struct KeyPage {
    pub(crate) members: Vec<String>,
    pub(crate) next: Option<ScanState>,
}

/// At most `limit` members from `state` on. Costs one round trip, or two if the server is another
/// one than before.
pub(crate) async fn scan_key(
    servers: &impl Dispatch,
    call: Call,
    (key, kind): (&Key, Kind),
    mut state: ScanState,
    limit: usize,
) -> Result<KeyPage> {
    loop {
        // Step 1: ask for a little less than a page, because a reply has a few members more.
        let count = if limit < 2 * SURPLUS { limit } else { limit - SURPLUS };
        let request = scan_request(key, kind, state.cursor, count);
        let answer = servers.run_one(call, request).await?;
        // Step 2: begin again if the server was restarted or replaced. The cursor of one server
        // means nothing to another. A listing may so repeat members, but it misses none.
        if state.cursor != 0 && state.server != answer.server {
            state = ScanState::default();
            continue;
        }
        // Step 3: cut the page out of the reply.
        state.server = answer.server;
        let (next, members) = read_scan(call.operation, kind, answer.into_value())?;
        return Ok(take(state, next, members, limit));
    }
}

/// A request for about `count` members from a cursor on.
pub(crate) fn scan_request(key: &Key, kind: Kind, cursor: u64, count: usize) -> Request {
    let mut command = cmd(match kind {
        Kind::Event => "SSCAN",
        Kind::User => "HSCAN",
    });
    command.arg(&key.name).arg(cursor).arg("COUNT").arg(count);
    Request::read(key.slot, command)
}

/// Cuts a page out of a reply. `next` is the cursor in the reply.
pub(crate) fn take(state: ScanState, next: u64, mut members: Vec<String>, limit: usize) -> KeyPage {
    // Step 1: sort the members, so that a position among them has a meaning in a later reply. A
    // reply has no order, and may repeat members.
    members.sort_unstable();
    members.dedup();
    // Step 2: skip the members that earlier pages of the same reply have listed. A reply with the
    // whole set needs no digest, since every member after the last one is new.
    let whole = state.cursor == 0 && next == 0;
    let skipped = match &state.listed {
        None => 0,
        Some(Listed { last, digest }) => {
            let upto = members.partition_point(|member| member <= last);
            match digest {
                None => upto,
                Some(before) if *before == digest_of(&members, upto) => upto,
                // The reply has other members: list it again rather than miss one.
                Some(_) => 0,
            }
        }
    };
    // Step 3: the reply does not fit. The next page asks for it again, from the same cursor.
    let end = members.len().min(skipped + limit);
    if end < members.len() {
        let digest = (!whole).then(|| digest_of(&members, end));
        let last = members.get(end - 1).cloned().unwrap_or_default();
        let members = members.into_iter().take(end).skip(skipped).collect();
        let next = ScanState { listed: Some(Listed { last, digest }), ..state };
        return KeyPage { members, next: Some(next) };
    }
    // Step 4: the reply fits. The next page begins at its cursor, or there is none.
    let members = members.into_iter().skip(skipped).collect();
    let next = (next != 0).then_some(ScanState { cursor: next, listed: None, ..state });
    KeyPage { members, next }
}

/// Compared only with digests of the same build. Another build lists the reply again.
fn digest_of(members: &[String], upto: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    members.iter().take(upto).for_each(|member| member.hash(&mut hasher));
    hasher.finish()
}

/// Reads the next cursor and the members or fields from the reply to a scan.
pub(crate) fn read_scan(
    operation: Operation,
    kind: Kind,
    value: Option<Value>,
) -> Result<(u64, Vec<String>)> {
    let scan = value.and_then(reply::scan);
    let (next, entries) =
        scan.ok_or_else(|| Error::corrupt(operation, "unexpected reply to SSCAN or HSCAN"))?;
    let step = match kind {
        Kind::Event => 1,
        // Fields alternate with their values.
        Kind::User => 2,
    };
    let members = entries.into_iter().step_by(step).map(|entry| member(operation, entry));
    Ok((next, members.collect::<Result<_>>()?))
}

/// A member of a set or a field of a hash.
pub(crate) fn member(operation: Operation, value: Value) -> Result<String> {
    reply::text(value).ok_or_else(|| Error::corrupt(operation, "a stored id is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    fn take_all(
        state: ScanState,
        next: u64,
        members: &str,
        limit: usize,
    ) -> (String, Option<ScanState>) {
        let page = take(state, next, names(members), limit);
        (page.members.concat(), page.next)
    }

    #[test]
    fn a_reply_that_is_too_long_is_listed_in_pages() {
        for cursor in [0, 7] {
            let start = ScanState { cursor, ..ScanState::default() };
            let (first, next) = take_all(start, 9, "cabed", 2);
            assert_eq!(first, "ab");
            let (second, next) = take_all(next.unwrap(), 9, "ecdba", 2);
            assert_eq!(second, "cd");
            let (third, next) = take_all(next.unwrap(), 9, "abcde", 2);
            assert_eq!(third, "e");
            assert_eq!(next, Some(ScanState { cursor: 9, ..ScanState::default() }));
        }
    }

    #[test]
    fn a_reply_that_has_changed_is_listed_again() {
        let (_, next) = take_all(ScanState { cursor: 7, ..ScanState::default() }, 9, "bcde", 2);
        let (again, _) = take_all(next.unwrap(), 9, "abcde", 9);
        assert_eq!(again, "abcde", "a was not in the first reply, so it has not been listed");
    }

    #[test]
    fn members_added_meanwhile_do_not_begin_a_whole_set_again() {
        let (first, next) = take_all(ScanState::default(), 0, "bcde", 2);
        assert_eq!(first, "bc");
        // Also when the set has become one that is scanned in several replies.
        let (second, next) = take_all(next.unwrap(), 5, "abd", 9);
        assert_eq!(second, "d");
        assert_eq!(next.unwrap().cursor, 5);
    }
}
