//! The threads of a store, and their queues.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;
use std::{io, thread};

use rsvp_core::{Deadline, Error, Operation, Result};
use rusqlite::Connection;
use tokio::sync::watch;

use super::backup::BackupJob;
use super::reader::Reader;
use super::writer::{Writer, WriterJob};
use crate::config::SqliteConfig;
use crate::data::change::{Change, Pending};
use crate::data::read::{PendingRead, Read, ReadJob};
use crate::wire::call::{Waiting, call};
use crate::wire::checkpoint::Checkpoints;
use crate::wire::connection::Connector;
use crate::wire::file::Identity;
use crate::wire::lock::OwnerLock;
use crate::wire::queue::{Queue, Refusal};

/// Held by every thread as long as it uses the file.
#[derive(Clone)]
pub(super) struct Alive {
    _lock: Arc<OwnerLock>,
    /// It sends nothing. When the last sender is dropped, all threads have ended.
    _sender: watch::Sender<Option<Infallible>>,
}

/// The parts of an open file.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) lock: Arc<OwnerLock>,
    pub(crate) connector: Connector,
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
    pub(crate) identity: Identity,
}

/// The threads of a store. When this is dropped, they finish the waiting calls and end.
pub(crate) struct Threads {
    writer: Arc<Queue<WriterJob>>,
    readers: Arc<Queue<Box<dyn ReadJob>>>,
    call_timeout: Duration,
    ended: watch::Receiver<Option<Infallible>>,
    failing: Arc<AtomicBool>,
    /// The threads hold the lock, so that a closed store releases it.
    lock: Weak<OwnerLock>,
}

impl Threads {
    /// Starts the threads.
    pub(crate) fn start(config: &SqliteConfig, parts: Parts) -> io::Result<Self> {
        let Parts { lock, connector, writer, readers, identity } = parts;
        let (sender, ended) = watch::channel(None);
        let weak = Arc::downgrade(&lock);
        let alive = Alive { _lock: lock, _sender: sender };
        // Created before the threads. If one of them does not start, dropping this ends the others.
        let threads = Self {
            writer: Arc::new(Queue::new(config.queue)),
            readers: Arc::new(Queue::new(config.queue)),
            call_timeout: config.call_timeout,
            ended,
            failing: Arc::default(),
            lock: weak,
        };
        let (ended, readers_ended) = mpsc::channel();
        for connection in readers {
            let reader = Reader {
                queue: Arc::clone(&threads.readers),
                connector: connector.clone(),
                connection: Some(connection),
                ended: ended.clone(),
                alive: alive.clone(),
            };
            start("rsvp-sqlite-read", move || reader.run())?;
        }
        // From here on only the readers hold senders,
        // so the writer notices the end of the last one.
        drop(ended);
        let writer = Writer {
            queue: Arc::clone(&threads.writer),
            connector,
            connection: Some(writer),
            identity,
            checkpoints: Checkpoints::new(config.checkpoint),
            failing: Arc::clone(&threads.failing),
            readers_ended,
            alive,
        };
        start("rsvp-sqlite-write", move || writer.run())?;
        Ok(threads)
    }

    /// Sends a read to the readers, with its weight in the queue, and waits for its answer.
    pub(crate) async fn read<R: Read>(
        &self,
        read: R,
        entries: usize,
        deadline: Option<Deadline>,
    ) -> Result<R::Answer> {
        let operation = read.operation();
        let (ticket, waiting) = call(operation, self.deadline(operation, deadline)?);
        let job: Box<dyn ReadJob> = Box::new(PendingRead { read, ticket });
        self.readers.push([(entries, job)]).map_err(|refusal| refused(operation, refusal))?;
        waiting.answer().await
    }

    /// Sends a change to the writer, with its weight in the queue, and waits for its answer.
    pub(crate) async fn change<C: Change>(
        &self,
        change: C,
        entries: usize,
        deadline: Option<Deadline>,
    ) -> Result<C::Answer> {
        let operation = change.operation();
        let mut waiting = self.send_changes(operation, [(entries, change)], deadline)?;
        match waiting.pop() {
            Some(waiting) => waiting.answer().await,
            None => Err(Error::corrupt(operation, "no answer to one change")),
        }
    }

    /// Sends all changes to the writer, or none.
    pub(crate) fn send_changes<C: Change>(
        &self,
        operation: Operation,
        changes: impl IntoIterator<Item = (usize, C)>,
        deadline: Option<Deadline>,
    ) -> Result<Vec<Waiting<C::Answer>>> {
        let deadline = self.deadline(operation, deadline)?;
        let (jobs, waiting): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .map(|(entries, change)| {
                let (ticket, waiting) = call(operation, deadline);
                let job = WriterJob::Change(Box::new(Pending::new(change, ticket)));
                ((entries, job), waiting)
            })
            .unzip();
        self.writer.push(jobs).map_err(|refusal| refused(operation, refusal))?;
        Ok(waiting)
    }

    /// Sends a backup to the writer.
    pub(crate) fn send_backup(&self, backup: BackupJob) -> Result<()> {
        let jobs = [(1, WriterJob::Backup(backup))];
        self.writer.push(jobs).map_err(|refusal| refused(Operation::Backup, refusal))
    }

    /// Refuses calls from now on, and waits for the end of the running calls and of the threads.
    pub(crate) async fn close(&self) {
        self.close_queues();
        let mut ended = self.ended.clone();
        // It fails when the last thread has dropped its sender.
        while ended.changed().await.is_ok() {}
    }

    fn close_queues(&self) {
        self.writer.close();
        self.readers.close();
    }

    /// Refuses a call of a closed store, and a call after its deadline.
    pub(crate) fn check(&self, operation: Operation, deadline: Option<Deadline>) -> Result<()> {
        if self.writer.is_closed() {
            return Err(Error::closed(operation));
        }
        match deadline {
            Some(deadline) if deadline.has_passed() => Err(Error::too_late(operation)),
            _ => Ok(()),
        }
    }

    /// Returns the deadline of a call. Each call has one.
    fn deadline(&self, operation: Operation, own: Option<Deadline>) -> Result<Deadline> {
        self.check(operation, own)?;
        let latest = Deadline::after(self.call_timeout);
        Ok(own.map_or(latest, |own| own.min(latest)))
    }

    /// Returns the flag of a failed last transaction. The writer sets it.
    pub(crate) fn failing(&self) -> &Arc<AtomicBool> {
        &self.failing
    }

    /// Returns the lock of the file.
    pub(crate) fn lock(&self) -> &Weak<OwnerLock> {
        &self.lock
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.close_queues();
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

fn refused(operation: Operation, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Full => Error::overloaded(operation),
        Refusal::Closed => Error::closed(operation),
    }
}
