//! Positions in a server's write-ahead log.

use rsvp_core::SessionToken;
use sqlx::postgres::PgConnection;

use super::server_session::ask;

/// The LSN of a server, written by a primary or replayed by a standby.
const CURRENT: &str = include_str!("../sql/lsn.sql");

/// The id of the write-ahead logs of one database cluster, before and after its promotions.
/// Only positions with the same id can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogId(u64);

impl LogId {
    /// Returns the id for a session token.
    pub(crate) fn to_token(self) -> u64 {
        self.0
    }
}

/// The time of a database cluster between two promotions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The cluster's system identifier. Standbys share it with their primary.
    pub(crate) system: u64,
    /// Grows with each promotion.
    pub(crate) number: u64,
}

impl Timeline {
    /// Returns the id of its log.
    pub(crate) fn log(self) -> LogId {
        LogId(self.system)
    }

    /// Whether its primary was promoted after the primary of `other`, and has its confirmed writes.
    pub(crate) fn succeeds(self, other: Self) -> bool {
        self.system == other.system && self.number > other.number
    }

    /// Returns its beginning. Every server on this timeline has replayed it.
    pub(crate) fn start(self) -> Watermark {
        Watermark { log: self.log(), position: Position::new(self, 0) }
    }

    /// Returns the position for the tokens of a writer without replicas.
    ///
    /// Such a writer saves the round trip for the LSN of its write.
    /// So readers with replicas must ask the primary.
    pub(crate) fn primary_only(self) -> Watermark {
        Watermark { log: self.log(), position: Position::new(self, u64::MAX) }
    }
}

/// A position in a log, by the number of the timeline and then by the LSN.
///
/// After a promotion, LSNs are used again for other writes.
/// So a later timeline is behind every LSN of an earlier one.
///
/// The position is one number, for session tokens. It has 12 bits of timeline and 52 bits of LSN.
/// The LSN is in steps of 8 bytes, because every record of the log begins at such a step.
/// The bits suffice for 36 PB of log and 4,095 promotions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    const LSN_BITS: u32 = 52;
    const LAST_LSN: u64 = (1 << Self::LSN_BITS) - 1;
    const LAST_TIMELINE: u64 = u64::MAX >> Self::LSN_BITS;

    fn new(timeline: Timeline, lsn: u64) -> Self {
        // Rounded up, so that a server at the position has every write before the LSN.
        let lsn = lsn.div_ceil(8).min(Self::LAST_LSN);
        Self((timeline.number.min(Self::LAST_TIMELINE) << Self::LSN_BITS) | lsn)
    }

    /// Returns the number of its timeline.
    pub(crate) fn timeline(self) -> u64 {
        self.0 >> Self::LSN_BITS
    }

    /// Whether the primary alone can serve its readers.
    fn is_primary_only(self) -> bool {
        self.0 & Self::LAST_LSN == Self::LAST_LSN
    }

    /// Asks a server of a timeline for its position, written or replayed.
    pub(crate) async fn current(pg: &mut PgConnection, timeline: Timeline) -> sqlx::Result<Self> {
        let (lsn,): (i64,) = ask(pg, CURRENT.to_owned()).await?;
        Ok(Self::new(timeline, lsn.cast_unsigned()))
    }
}

/// A position in one log. A server at this position has replayed every write before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) log: LogId,
    pub(crate) position: Position,
}

impl Watermark {
    /// Returns the watermark of `token` for `log`, if it has one, and a replica can reach it.
    pub(crate) fn in_token(token: &SessionToken, log: LogId) -> Option<Self> {
        let position = token.position(log.to_token()).map(Position)?;
        (!position.is_primary_only()).then_some(Self { log, position })
    }

    /// Returns the token of the writes before this watermark.
    pub(crate) fn token(self) -> SessionToken {
        SessionToken::at(self.log.to_token(), self.position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Timeline = Timeline { system: 7, number: 1 };
    const SECOND: Timeline = Timeline { system: 7, number: 2 };

    #[test]
    fn a_later_timeline_is_behind_every_position_of_an_earlier_one() {
        let position = |timeline, lsn| Position::new(timeline, lsn);
        assert!(position(FIRST, 8) < position(FIRST, 16));
        assert!(
            position(FIRST, 9) >= position(FIRST, 16),
            "rounded up, so that no write is missed"
        );
        assert!(FIRST.primary_only().position < SECOND.start().position);
        assert_eq!(position(SECOND, 1 << 54).timeline(), 2);
        let last = Timeline { system: 7, number: u64::MAX };
        assert_eq!(position(last, u64::MAX - 8), Position(u64::MAX));
    }

    #[test]
    fn the_token_of_a_writer_without_replicas_sends_readers_to_the_primary() {
        let (log, token) = (FIRST.log(), FIRST.primary_only().token());
        assert_eq!(Watermark::in_token(&token, log), None);
        let mut merged = token;
        merged.merge(&SECOND.start().token());
        assert_eq!(Watermark::in_token(&merged, log), Some(SECOND.start()), "which came later");
    }
}
