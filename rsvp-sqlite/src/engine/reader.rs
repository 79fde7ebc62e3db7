//! A reader thread. It answers all waiting calls in one short transaction.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use rusqlite::Connection;

use super::threads::Alive;
use super::transaction::roll_back;
use crate::data::read::{Health, ReadJob};
use crate::wire::connection::Connector;
use crate::wire::failure::Failure;
use crate::wire::queue::{Queue, Taken};

/// A transaction takes no further call after this number of entries, so that it stays short.
const MOST: usize = 512;

/// A reader. It owns a connection.
pub(super) struct Reader {
    pub(super) queue: Arc<Queue<Box<dyn ReadJob>>>,
    pub(super) connector: Connector,
    /// `None` after a failure that leaves the connection in doubt.
    pub(super) connection: Option<Connection>,
    /// Tells the writer when the connection is closed.
    pub(super) ended: Sender<Infallible>,
    /// Releases the file when all threads have ended.
    pub(super) alive: Alive,
}

impl Reader {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Taken::Jobs(jobs) = self.queue.take(MOST, None) {
            self.work(jobs);
        }
        // The writer closes its connection after the readers, and the lock is released last.
        drop(self.connection.take());
        drop(self.ended);
        drop(self.alive);
    }

    /// Answers calls within one transaction, so that SQLite takes its locks once for all of them.
    fn work(&mut self, jobs: Vec<Box<dyn ReadJob>>) {
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.connector.reader(),
        };
        let begun = connection.and_then(|connection| {
            connection.prepare_cached("BEGIN")?.execute([])?;
            Ok(connection)
        });
        match begun {
            Ok(connection) => {
                let mut health = Health::Good;
                for job in jobs {
                    if job.run(&connection) == Health::Doubtful {
                        health = Health::Doubtful;
                    }
                }
                // There is nothing to commit.
                // The transaction must end, so that the log can begin again.
                roll_back(&connection);
                if health == Health::Good {
                    self.connection = Some(connection);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for job in jobs {
                    job.fail(Failure::Shared(Arc::clone(&error)));
                }
            }
        }
    }
}
