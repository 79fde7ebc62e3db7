//! The freshness of a batch of reads, and the reads that may share one.

use super::seen_tokens::SeenTokens;
use crate::Consistency;

/// The number of kinds of reads. Only reads of one kind share a batch.
/// So a read that a replica may answer never goes to the primary because of another read.
pub(super) const KINDS: usize = 4;

/// Returns the kind of a read, below [`KINDS`].
/// `None` for a session read with a token beyond the positions seen by this store.
/// It goes to the store alone, so that no read waits for the position of another one.
pub(super) fn kind(consistency: &Consistency, seen: &SeenTokens) -> Option<usize> {
    match consistency {
        Consistency::Strong => Some(0),
        Consistency::Session(token) if seen.cover(token) => Some(1),
        Consistency::Bounded(_) => Some(2),
        Consistency::Eventual => Some(3),
        Consistency::Session(_) => None,
    }
}

/// Makes `freshness` as fresh as both.
pub(super) fn both(freshness: &mut Consistency, other: Consistency) {
    *freshness = match (std::mem::take(freshness), other) {
        (Consistency::Session(mut token), Consistency::Session(other)) => {
            token.merge(&other);
            Consistency::Session(token)
        }
        (Consistency::Bounded(bound), Consistency::Bounded(other)) => {
            Consistency::Bounded(bound.min(other))
        }
        (Consistency::Eventual, Consistency::Eventual) => Consistency::Eventual,
        _ => Consistency::Strong,
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::SessionToken;

    #[test]
    fn a_batch_is_as_fresh_as_its_most_demanding_call() {
        let of = |mut freshness: Consistency, other| {
            both(&mut freshness, other);
            freshness
        };
        let bounded = |millis| Consistency::Bounded(Duration::from_millis(millis));
        let session = |position| Consistency::Session(SessionToken::at(1, position));
        assert_eq!(of(bounded(7), bounded(3)), bounded(3));
        assert_eq!(of(bounded(3), bounded(7)), bounded(3));
        assert_eq!(of(session(7), session(3)), session(7));
        assert_eq!(of(Consistency::Eventual, Consistency::Eventual), Consistency::Eventual);
        assert_eq!(of(Consistency::Eventual, bounded(7)), Consistency::Strong);
    }
}
