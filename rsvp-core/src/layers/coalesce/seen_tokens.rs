//! The session tokens that may share a batch.

use std::sync::{PoisonError, RwLock};

use crate::SessionToken;

/// The greatest number of remembered engines. An accepted token never names as many.
const MOST_ORIGINS: usize = 512;

/// The highest positions seen in receipts of this store.
///
/// A token within them belongs to finished writes.
/// A token beyond them is of another instance, or it is forged.
/// A read with it may wait for a position that never comes.
#[derive(Default)]
pub(super) struct SeenTokens(RwLock<SessionToken>);

impl SeenTokens {
    pub(super) fn learn(&self, token: &SessionToken) {
        if token.is_empty() || self.cover(token) {
            return;
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.merge(token);
        if seen.origins() > MOST_ORIGINS {
            // No store has so many engines.
            // Engines were replaced over time, so forget the old ones.
            seen.clone_from(token);
        }
    }

    /// Returns whether the writes behind the token are known to be finished.
    pub(super) fn cover(&self, token: &SessionToken) -> bool {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        token.is_within(&seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_within_the_highest_positions_of_receipts() {
        let seen = SeenTokens::default();
        assert!(seen.cover(&SessionToken::new()));
        assert!(!seen.cover(&SessionToken::at(1, 0)));
        seen.learn(&SessionToken::at(1, 7));
        seen.learn(&SessionToken::at(1, 5));
        seen.learn(&SessionToken::at(2, 3));
        let mut both = SessionToken::at(1, 7);
        both.merge(&SessionToken::at(2, 3));
        assert!(seen.cover(&both) && !seen.cover(&SessionToken::at(1, 8)));
        assert!(!seen.cover(&SessionToken::at(3, 0)), "an engine without receipts");
    }

    #[test]
    fn the_memory_is_bounded() {
        let seen = SeenTokens::default();
        for origin in 0..5000 {
            seen.learn(&SessionToken::at(origin, 1));
            assert!(seen.cover(&SessionToken::at(origin, 1)));
        }
        assert!(seen.0.read().unwrap().origins() <= MOST_ORIGINS);
    }
}
