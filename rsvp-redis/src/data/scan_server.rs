//! Scanning the keyspace of one server by its `SCAN`.
//!
//! `SCAN` returns keys in steps. A page may end within a step, and the next call asks for the same
//! step again. The cursor of the page therefore holds the `SCAN` cursor of the step and digests of
//! the step's finished keys.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::{Value, cmd};
use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{Cursor, Result, Rsvp};

use crate::data::cursor::{ScanState, read_state, write_state};
use crate::data::reply;
use crate::data::scan_all::{EVERYTHING, KeyspaceScan, MAX_STEPS, OwnedKey, Read};
use crate::wire::request::{Dispatch, Request};

/// The keys of one step. Few enough for the digests of finished keys to fit into a cursor.
const KEYS: usize = 100;
/// The most digests of finished keys in a cursor. A step has about as many keys as it asks for. To
/// have this many, the server's table would need very long chains, and then the rest is listed
/// again.
const MAX_DONE: usize = 340;

/// The progress of a scan, the fields of its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// The process of the server, and its `SCAN` cursor, the name of the step.
    server: u64,
    cursor: u64,
    /// The digests of the step's finished keys. Each call asks for the step again, and may then
    /// get other keys.
    done: Vec<u64>,
    /// The digest of the unfinished key, and the state of its scan.
    current: Option<(u64, ScanState)>,
}

impl KeyspaceScan<'_> {
    /// As [`page`](Self::page), on one server. The scan begins again when the server has been
    /// restarted.
    pub(super) async fn page_by_scan(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, Option<Cursor>)> {
        let mut progress = Progress::read(self.tag, cursor)?;
        let mut pairs = Vec::new();
        for _ in 0..MAX_STEPS {
            // Step 1: ask for the keys of the step. The half-listed one comes first, because the
            // state in the cursor belongs to it. Finished keys are left out.
            let (next, keys) = self.step(&mut progress).await?;
            let (keys, state) = progress.unfinished(keys);
            // Step 2: list as many of their members as fit.
            let Read { finished, begun } = self.read_keys(&keys, state, limit, &mut pairs).await?;
            // Step 3: note the finished keys and the half-listed one for the cursor of the page.
            progress.done.extend(keys.iter().take(finished).map(digest));
            progress.current = keys.get(finished).map(digest).zip(begun);
            // The page is full within the step. The next call asks for this step again.
            if finished < keys.len() {
                break;
            }
            // Step 4: go on with the next step of the server. Its cursor is 0 at the end of the
            // scan.
            progress.done.clear();
            progress.cursor = next;
            if next == 0 {
                return Ok((pairs, None));
            }
            if pairs.len() >= limit {
                break;
            }
        }
        Ok((pairs, Some(progress.cursor(self.tag))))
    }

    /// The keys of the current step in order, and the cursor of the next step.
    async fn step(&self, progress: &mut Progress) -> Result<(u64, Vec<OwnedKey>)> {
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(progress.cursor).arg("MATCH").arg(self.keys.pattern(self.kind));
            scan.arg("COUNT").arg(KEYS);
            let answer = self.servers.run_one(self.call, Request::read(0, scan)).await?;
            if progress.server != answer.server {
                // The server was restarted or replaced, so its cursors mean nothing any more. A
                // scan within its first step has used none yet and may keep the reply.
                let began = progress.cursor != 0 || !progress.done.is_empty();
                *progress = Progress { server: answer.server, ..Progress::default() };
                if began {
                    continue;
                }
            }
            let reply = answer.into_value().and_then(reply::scan);
            let (next, names) = reply.ok_or_else(|| self.malformed())?;
            let parse = |name: Value| match name {
                Value::BulkString(name) => self.keys.parse(self.kind, &name),
                _ => None,
            };
            // The pattern may match keys of other applications. `parse` leaves them out.
            let mut keys: Vec<_> = names.into_iter().filter_map(parse).collect();
            keys.sort_unstable();
            keys.dedup();
            return Ok((next, keys));
        }
    }
}

impl Progress {
    /// The unfinished keys of the step, the half-listed one first, and the state of its scan.
    fn unfinished(&mut self, keys: Vec<OwnedKey>) -> (Vec<OwnedKey>, ScanState) {
        // Keys that the step no longer has need not be remembered.
        let known: Vec<u64> = keys.iter().map(digest).collect();
        self.done.retain(|done| known.contains(done));
        let mut left: Vec<OwnedKey> =
            keys.into_iter().filter(|key| !self.done.contains(&digest(key))).collect();
        // If the half-listed key is gone, the first of the others begins at its beginning.
        let begun = self.current.take().and_then(|(key, state)| {
            let at = left.iter().position(|left| digest(left) == key)?;
            left.swap(0, at);
            Some(state)
        });
        (left, begun.unwrap_or_default())
    }

    /// Reads the cursor of a page, or begins without one.
    fn read(tag: u8, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let mut reader = CursorReader::new(tag, EVERYTHING, cursor)?;
        let (server, cursor) = (reader.u64()?, reader.u64()?);
        let done = (0..reader.u16()?).map(|_| reader.u64()).collect::<Result<_>>()?;
        let current = match reader.u16()? {
            0 => None,
            1 => Some((reader.u64()?, read_state(&mut reader)?)),
            _ => return Err(Cursor::refused()),
        };
        reader.end()?;
        Ok(Self { server, cursor, done, current })
    }

    fn cursor(&self, tag: u8) -> Cursor {
        let mut written = CursorWriter::new(tag, EVERYTHING)
            .u64(self.server)
            .u64(self.cursor)
            .u16(self.done.len().min(MAX_DONE).try_into().unwrap_or(u16::MAX));
        for done in self.done.iter().take(MAX_DONE) {
            written = written.u64(*done);
        }
        match &self.current {
            None => written.u16(0).finish(),
            Some((key, state)) => write_state(written.u16(1).u64(*key), state).finish(),
        }
    }
}

fn digest((_, key): &OwnedKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.name.hash(&mut hasher);
    hasher.finish()
}
