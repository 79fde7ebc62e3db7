//! The server's process behind a connection, and stopping it from another connection.

use sqlx::postgres::PgConnection;

/// Asks a process to cancel its statement.
const CANCEL: &str = include_str!("../sql/cancel_backend.sql");

/// Ends processes, and tells which of them are still there.
const END: &str = include_str!("../sql/end_backends.sql");

/// A server's process. It is named by its start too, because process ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backend {
    pub(crate) pid: i32,
    /// The start of the process, in microseconds since 1970, unless it is hidden from the role.
    pub(crate) started: Option<i64>,
}

/// A process that was still there when it was to be told to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alive {
    pub(crate) backend: Backend,
    /// It is in the middle of a transaction that has changed something.
    pub(crate) changing: bool,
    /// It was told to end. One whose start is hidden is not.
    pub(crate) told: bool,
}

/// The answer of a server that was asked to stop something.
#[derive(Debug)]
pub(super) enum Reply {
    /// It did, and these processes were still there before that.
    Alive(Vec<Alive>),
    /// It does not let this role do so.
    Refused,
}

impl Backend {
    /// Asks the process to cancel the statement that it runs. One that runs none ignores it.
    pub(super) async fn cancel(self, pg: &mut PgConnection) -> sqlx::Result<()> {
        let query = sqlx::query(CANCEL).bind(self.pid).bind(self.started);
        query.execute(pg).await.map(drop)
    }

    /// Tells processes to end, and returns those that were still there before that.
    pub(super) async fn end_all(
        backends: &[Self],
        pg: &mut PgConnection,
    ) -> sqlx::Result<Vec<Alive>> {
        let (pids, starts): (Vec<i32>, Vec<Option<i64>>) =
            backends.iter().map(|backend| (backend.pid, backend.started)).unzip();
        let query = sqlx::query_as(END).bind(pids).bind(starts);
        let rows: Vec<(i32, Option<i64>, bool, bool)> = query.fetch_all(pg).await?;
        let alive = |(pid, started, changing, told)| {
            let backend = Self { pid, started };
            Alive { backend, changing, told }
        };
        Ok(rows.into_iter().map(alive).collect())
    }
}
