//! The repair reads differing pairs again, and makes the writes to mend the user index.

use rsvp_core::backend::combine;
use rsvp_core::{Result, Rsvp, Write};

use crate::data::keys::Keys;
use crate::data::membership::{self, is_member};
use crate::data::reply::each_flag;
use crate::data::user_index::{are_indexed, is_indexed};
use crate::wire::call_deadline::Call;
use crate::wire::request::{Dispatch, Request};

/// The writes to the user index for those pairs whose sides still differ.
///
/// On a single server both sides are read in one transaction. A correction by an older truth would
/// show a user a cancelled RSVP until the next sync. In a cluster a running write looks like an
/// interrupted one, but the correction is then the write's own next step.
pub(crate) async fn corrections(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    pairs: Vec<Rsvp>,
) -> Result<Vec<Write>> {
    let sides: Vec<(bool, bool)> = if servers.is_cluster() {
        let held = combine(membership::read(servers, keys, call, &pairs).await)?;
        let indexed = are_indexed(servers, keys, call, &pairs).await?;
        held.into_iter().zip(indexed).collect()
    } else {
        let both = |pair: &Rsvp| {
            let ((key, held), (_, indexed)) = (is_member(keys, pair), is_indexed(keys, pair));
            Request::transaction(key.slot, vec![held, indexed])
        };
        let answers = servers.run_all(call, pairs.iter().map(both).collect()).await?;
        let flags =
            each_flag(call.operation, answers.into_iter().flat_map(|answer| answer.values))?;
        let sides = |sides: &[bool]| (sides.first() == Some(&true), sides.get(1) == Some(&true));
        flags.chunks(2).map(sides).collect()
    };
    let correction = |(pair, (held, indexed)): (Rsvp, (bool, bool))| match (held, indexed) {
        (true, false) => Some(Write::rsvp(pair.user, pair.event)),
        (false, true) => Some(Write::cancel(pair.user, pair.event)),
        _ => None,
    };
    Ok(pairs.into_iter().zip(sides).filter_map(correction).collect())
}
