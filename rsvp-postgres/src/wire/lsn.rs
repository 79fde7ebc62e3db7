//! Positions in a server's write-ahead log.

use rsvp_core::SessionToken;
use sqlx::postgres::PgConnection;

use super::session::ask;

/// The LSN up to which a primary has written its log, or a standby has replayed it.
const CURRENT: &str = include_str!("../sql/lsn.sql");

/// The name of a write-ahead log whose LSNs can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogId(u64);

impl LogId {
    /// The log of an id in a session token.
    pub(crate) fn from_token(id: u64) -> Self {
        Self(id)
    }

    /// The id for a session token.
    pub(crate) fn to_token(self) -> u64 {
        self.0
    }
}

/// The time of a database cluster between two promotions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The cluster's system identifier, which standbys share with their primary.
    pub(crate) system: u64,
    /// Grows with each promotion.
    pub(crate) number: u64,
}

impl Timeline {
    /// Its log. After a promotion LSNs are used again for other writes, on another timeline.
    pub(crate) fn log(self) -> LogId {
        // An odd factor, so that no two timelines of a cluster meet.
        LogId(self.system ^ self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Whether its primary was promoted after that of `other`, and has what was confirmed there.
    pub(crate) fn succeeds(self, other: Self) -> bool {
        self.system == other.system && self.number > other.number
    }
}

/// A log sequence number: a position in a log, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    /// The beginning of a log, which every server has replayed.
    pub(crate) const START: Self = Self(0);

    /// The LSN in the tokens of a writer without replicas. Such a writer does not pay a round trip
    /// to learn the LSN of its write, so readers with replicas must ask the primary.
    pub(crate) const PRIMARY_ONLY: Self = Self(u64::MAX);

    /// Asks a server how far it has written or replayed its log.
    pub(crate) async fn current(pg: &mut PgConnection) -> sqlx::Result<Self> {
        let (lsn,): (i64,) = ask(pg, CURRENT.to_owned()).await?;
        Ok(Self(lsn.cast_unsigned()))
    }
}

/// A position in one log: a server that has replayed this log up to there has every write before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) log: LogId,
    pub(crate) lsn: Lsn,
}

impl Watermark {
    /// The watermark that `token` holds for `log`, if it holds one that a replica can reach.
    pub(crate) fn in_token(token: &SessionToken, log: LogId) -> Option<Self> {
        let lsn = token.position(log.to_token()).map(Lsn)?;
        (lsn != Lsn::PRIMARY_ONLY).then_some(Self { log, lsn })
    }

    /// The token of the writes before this watermark.
    pub(crate) fn token(self) -> SessionToken {
        SessionToken::at(self.log.to_token(), self.lsn.0)
    }
}
