//! Moves the log into the file (checkpoints), so that the log stays short.

use std::time::Duration;

use rusqlite::Connection;

/// A log of this length is moved, in pages of 1 KiB (16 MiB).
const LONG: i64 = 16_000;

/// At this length readers have to wait, so that the log can begin again (64 MiB).
/// Otherwise it would grow without bound while reads overlap each other.
const STARVED: i64 = 64_000;

/// The longest wait for readers. Readers of this store take less time, but other programs may not.
const PATIENCE: Duration = Duration::from_millis(100);

/// The idle time of the writer before it moves the log.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// Decides when the log is moved into the file.
/// The writer moves it between transactions, after its answers.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    enabled: bool,
    /// Whether anything was written since the last checkpoint.
    pending: bool,
    /// Whether the log may hold bytes of deleted rows.
    erased: bool,
    /// The length of the log at the next attempt, after readers did not end in time.
    starved_at: i64,
}

impl Checkpoints {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, pending: false, erased: false, starved_at: STARVED }
    }

    /// Returns the time to wait for work until [`idle`](Self::idle) is due. `None` if it is not.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.enabled && self.pending).then_some(IDLE)
    }

    /// Moves a long log after a transaction. `erased` tells whether the transaction deleted rows.
    pub(crate) fn committed(
        &mut self,
        connection: &Connection,
        erased: bool,
    ) -> rusqlite::Result<()> {
        if !self.enabled {
            return Ok(());
        }
        self.pending = true;
        self.erased |= erased;
        // 1. Get the length of the log. `NOOP` does nothing else.
        let log = checkpoint(connection, "NOOP")?;
        if log.length < LONG {
            return Ok(());
        }
        // 2. Move the pages that no reader needs. This waits for nobody.
        let log = checkpoint(connection, "PASSIVE")?;
        // 3. Without a reader in the log, the next transaction begins the log again.
        //    If there always is one, make the readers wait once.
        if log.length >= self.starved_at {
            self.begin_again(connection)?;
        }
        Ok(())
    }

    /// Moves the log after an idle time. It truncates a log with bytes of deleted rows.
    pub(crate) fn idle(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.pending = false;
        if !self.erased {
            checkpoint(connection, "PASSIVE")?;
            return Ok(());
        }
        self.erased = !self.cut_off(connection)?;
        // Try again after the next idle time if another program is reading.
        self.pending = self.erased;
        Ok(())
    }

    fn begin_again(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.cut_off(connection)? {
            self.starved_at = STARVED;
            return Ok(());
        }
        let length = checkpoint(connection, "NOOP")?.length;
        self.starved_at = length.saturating_add(STARVED);
        tracing::warn!(
            pages = length,
            "the log of the SQLite file cannot begin again and grows: a program has been reading from \
             the file for long"
        );
        Ok(())
    }

    /// Moves the whole log into the file and truncates it, if readers end in time.
    pub(crate) fn cut_off(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        // A checkpoint waits for readers as long as the busy timeout of its connection.
        let usual: i64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
        connection.busy_timeout(PATIENCE)?;
        let log = checkpoint(connection, "TRUNCATE");
        connection.busy_timeout(Duration::from_millis(usual.unsigned_abs()))?;
        Ok(!log?.blocked)
    }
}

/// The log after a checkpoint.
#[derive(Debug)]
struct Log {
    /// Whether readers or another checkpoint prevented it.
    blocked: bool,
    /// The number of pages in the log.
    length: i64,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Log> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Log { blocked: row.get(0)?, length: row.get(1)? })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn connect(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "page_size", 1024).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.execute_batch("CREATE TABLE IF NOT EXISTS t (bytes BLOB)").unwrap();
        connection
    }

    #[test]
    fn a_log_among_readers_is_begun_again_when_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let log = || fs::metadata(folder.path().join("a.db-wal")).unwrap().len();
        let (writer, reader) = (connect(&path), connect(&path));
        let mut checkpoints = Checkpoints::new(true);
        let write = |checkpoints: &mut Checkpoints| {
            writer.execute("INSERT INTO t VALUES (zeroblob(20 << 20))", []).unwrap();
            checkpoints.committed(&writer, false).unwrap();
        };
        // 1. A reader that stays: the log grows, and nobody waits for it for long.
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        checkpoints.starved_at = LONG;
        write(&mut checkpoints);
        assert!(log() > 20 << 20);
        assert!(checkpoints.starved_at > STARVED, "not tried again soon");
        // 2. It has ended.
        reader.execute_batch("COMMIT").unwrap();
        checkpoints.starved_at = LONG;
        write(&mut checkpoints);
        assert_eq!((log(), checkpoints.starved_at), (0, STARVED));
    }
}
