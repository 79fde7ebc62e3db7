//! The audit compares the sets of the events with the user index, one page at a time.

use rsvp_core::backend::combine;
use rsvp_core::{Cursor, PageLimit, Result, Rsvp};

use crate::data::cursor::tag;
use crate::data::keys::{Keys, Kind};
use crate::data::membership;
use crate::data::scan_all::KeyspaceScan;
use crate::data::user_index::are_indexed;
use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;

/// One of the two passes of an audit, and its progress. The first pass goes over the events and
/// finds missing entries. The second goes over the users and finds left-over entries.
pub(crate) struct Pass<'a> {
    kind: Kind,
    tag: u8,
    cursor: Option<&'a Cursor>,
}

impl<'a> Pass<'a> {
    /// The pass of the cursor of a step. Without a cursor it is the first pass.
    pub(crate) fn of(cursor: Option<&'a Cursor>) -> Self {
        let of_users =
            cursor.is_some_and(|cursor| cursor.as_bytes().first() == Some(&tag::AUDIT_USERS));
        let cursor = cursor.filter(|cursor| **cursor != beginning_of_users());
        let (kind, tag) = match of_users {
            false => (Kind::Event, tag::AUDIT_EVENTS),
            true => (Kind::User, tag::AUDIT_USERS),
        };
        Self { kind, tag, cursor }
    }
}

/// Compares the next entries of a pass, at most `limit`. Returns the number of entries, the
/// differing pairs, and the cursor of the next step. A pair also differs while a write changes it.
pub(crate) async fn examine(
    servers: &ClusterClient,
    keys: &Keys,
    call: Call,
    Pass { kind, tag, cursor }: Pass<'_>,
    limit: PageLimit,
) -> Result<(u64, Vec<Rsvp>, Option<Cursor>)> {
    let scan = KeyspaceScan { servers, keys, call, kind, tag };
    let (pairs, mut next) = scan.page(cursor, limit.get()).await?;
    if next.is_none() && kind == Kind::Event {
        next = Some(beginning_of_users());
    }
    let checked = pairs.len() as u64;
    // Each pass scans one side and looks the pairs up on the other.
    let agrees = match kind {
        Kind::Event => are_indexed(servers, keys, call, &pairs).await?,
        Kind::User => combine(membership::read(servers, keys, call, &pairs).await)?,
    };
    let differing = pairs.into_iter().zip(agrees).filter(|(_, agrees)| !agrees);
    Ok((checked, differing.map(|(pair, _)| pair).collect(), next))
}

/// The cursor between the two passes, when the first has ended and the second has not begun.
fn beginning_of_users() -> Cursor {
    Cursor::new([tag::AUDIT_USERS])
}
