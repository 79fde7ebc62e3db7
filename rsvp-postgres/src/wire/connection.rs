//! An open connection, with all that is known of its server and of the call that uses it.

use sqlx::postgres::PgConnection;

use super::lsn::{LogId, Lsn, Watermark};

/// An open connection, used by one call at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The driver's connection, on which statements run.
    pub(crate) pg: PgConnection,
    /// The log that this server writes or replays.
    pub(crate) log: LogId,
    /// The LSN up to which the server is known to have replayed its log.
    pub(crate) replayed: Option<Lsn>,
    /// The connector's generation that it belongs to.
    pub(crate) generation: u64,
    /// A call is using it, or left it in an unknown state.
    pub(crate) in_use: bool,
    /// It must not be used again: its server may follow another log by now.
    pub(crate) stale: bool,
    /// A statement of the present call has taken effect.
    pub(crate) applied: bool,
}

impl Connection {
    /// A connection that has not been used yet, of a server that writes or replays `log`.
    pub(crate) fn new(pg: PgConnection, log: LogId) -> Self {
        Self { pg, log, replayed: None, generation: 0, in_use: false, stale: false, applied: false }
    }

    /// Asks how far the server has written or replayed its log.
    pub(crate) async fn watermark(&mut self) -> sqlx::Result<Watermark> {
        Ok(Watermark { log: self.log, lsn: Lsn::current(&mut self.pg).await? })
    }
}
