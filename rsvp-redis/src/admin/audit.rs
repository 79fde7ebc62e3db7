//! Audit: comparing the sets of the events with the user index, one page at a time.

use rsvp_core::backend::combine;
use rsvp_core::{Cursor, PageLimit, Result, Rsvp};

use crate::data::cursor::tag;
use crate::data::keys::{Keys, Kind};
use crate::data::membership;
use crate::data::scan_all::KeyspaceScan;
use crate::data::user_index::are_indexed;
use crate::wire::call::Call;
use crate::wire::client::ClusterClient;

/// One of the two passes of an audit, and how far it has got: over the events for missing entries,
/// then over the users for entries that are left over.
pub(crate) struct Pass<'a> {
    kind: Kind,
    tag: u8,
    cursor: Option<&'a Cursor>,
}

impl<'a> Pass<'a> {
    /// The pass that the cursor of a step belongs to. Without one it is the first.
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

/// Compares the next entries of a pass, at most `limit`. Returns the number of entries, the pairs
/// that differed when they were read, of which some may be writes that were under way, and where the
/// next step begins.
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
    // Each pass looks at the other side.
    let agrees = match kind {
        Kind::Event => are_indexed(servers, keys, call, &pairs).await?,
        Kind::User => combine(membership::read(servers, keys, call, &pairs).await)?,
    };
    let differing = pairs.into_iter().zip(agrees).filter(|(_, agrees)| !agrees);
    Ok((checked, differing.map(|(pair, _)| pair).collect(), next))
}

/// The cursor between the two passes: the first one has ended, the second one has not begun.
fn beginning_of_users() -> Cursor {
    Cursor::new([tag::AUDIT_USERS])
}
