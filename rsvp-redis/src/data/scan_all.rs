//! Scanning the keyspace: the keys of each node, and the members of each key.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::{Value, cmd};
use rsvp_core::backend::{CursorReader, CursorWriter, stored_id};
use rsvp_core::{Cursor, Error, Result, Rsvp};

use crate::data::cursor::{ScanState, read_state, write_state};
use crate::data::keys::{Key, Keys, Kind, Owner};
use crate::data::reply;
use crate::data::scan_key::{read_scan, scan_key, scan_request, take};
use crate::wire::call::Call;
use crate::wire::node::Node;
use crate::wire::request::{Answer, Dispatch, Request};
use crate::wire::topology::Topology;

/// The subject of the cursors.
const EVERYTHING: &str = "";
/// Keys that a node examines in one step. Few enough for the digests of finished keys to fit into a
/// cursor.
const KEYS: usize = 100;
/// The most digests of finished keys that fit into a cursor. A step has about as many keys as it
/// asks for. To have this many, the server's table would need very long chains, and then the rest
/// is listed again.
const MAX_DONE: usize = 340;
/// The most steps of one call, each of which may find no key of the kind.
const MAX_STEPS: usize = 32;

/// How far a scan has got: the fields of its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The fingerprint of the topology that the scan began with.
    topology: u64,
    /// The index of the node within the topology.
    node: u16,
    /// The process of the node, and its `SCAN` cursor, which names the step.
    server: u64,
    cursor: u64,
    /// The digests of the step's finished keys. Each call asks for the step again, and may then
    /// get other keys.
    done: Vec<u64>,
    /// The digest of the unfinished key, and the state of its scan.
    current: Option<(u64, ScanState)>,
}

/// A key and its owner.
type OwnedKey = (Owner, Key);

/// A scan of all keys of a kind.
pub(crate) struct KeyspaceScan<'a, D> {
    pub(crate) servers: &'a D,
    /// A complete and fresh topology.
    pub(crate) topology: &'a Topology<Node>,
    pub(crate) keys: &'a Keys,
    pub(crate) call: Call,
    pub(crate) kind: Kind,
    /// The first byte of its cursors.
    pub(crate) tag: u8,
}

impl<D: Dispatch> KeyspaceScan<'_, D> {
    /// At most `limit` more pairs, and the cursor of the next page.
    ///
    /// Every pair that exists during the whole scan is seen at least once. The scan begins again
    /// when a slot gets another owner, and begins a node again when that has been restarted.
    pub(crate) async fn page(
        &self,
        mut progress: Progress,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, Option<Cursor>)> {
        // Slots have moved: keys may be where the scan has been already.
        let topology = self.topology.fingerprint();
        if progress.topology != topology {
            progress = Progress { topology, ..Progress::default() };
        }
        let mut pairs = Vec::new();
        for _ in 0..MAX_STEPS {
            let Some(node) = self.topology.nodes.get(usize::from(progress.node)) else {
                return Ok((pairs, None));
            };
            // Ask for the keys of the step, and list as many of them as fit.
            let (next, keys) = self.step(node, &mut progress).await?;
            self.read_keys(&keys, &mut progress, limit, &mut pairs).await?;
            // Unfinished keys: the next call asks for this step again.
            if progress.current.is_some() || keys.iter().any(|key| !progress.has(key)) {
                break;
            }
            // Finished: on to the next step, or to the next node after the last step.
            progress.done.clear();
            progress.cursor = next;
            if next == 0 {
                progress.node += 1;
                progress.server = 0;
            }
            if pairs.len() >= limit {
                break;
            }
        }
        let last = usize::from(progress.node) >= self.topology.nodes.len();
        Ok((pairs, (!last).then(|| progress.cursor(self.tag))))
    }

    /// The keys of the current step in order, and the cursor of the next step.
    async fn step(&self, node: &Node, progress: &mut Progress) -> Result<(u64, Vec<OwnedKey>)> {
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(progress.cursor).arg("MATCH").arg(self.keys.pattern(self.kind));
            scan.arg("COUNT").arg(KEYS);
            // To this node whatever the slots are: `SCAN` has no key.
            let answer =
                node.send(self.call, &[Request::read(0, scan)], false).await.into_iter().next();
            let answer = answer.ok_or_else(|| self.malformed())?;
            let answer = answer.map_err(|failure| failure.into_error(self.call.operation))?;
            if progress.server != answer.server {
                // The node was restarted or replaced, so that its cursors mean nothing any more.
                let began = progress.cursor != 0 || !progress.done.is_empty();
                progress.server = answer.server;
                progress.cursor = 0;
                progress.done.clear();
                progress.current = None;
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
            let mut keys: Vec<_> = names.into_iter().filter_map(parse).collect();
            keys.sort_unstable();
            keys.dedup();
            return Ok((next, keys));
        }
    }

    /// Lists the members of the step's keys, as far as they fit.
    async fn read_keys(
        &self,
        keys: &[OwnedKey],
        progress: &mut Progress,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<()> {
        // Keys that the step no longer has need not be remembered.
        let known: Vec<u64> = keys.iter().map(digest).collect();
        progress.done.retain(|done| known.contains(done));
        let (mut todo, mut sizes) = self.sizes(keys, progress).await?;
        // The unfinished key comes first.
        let current = progress.current.take();
        let current = current.and_then(|(key, state)| {
            let at = todo.iter().position(|todo| digest(todo) == key)?;
            Some((at, state))
        });
        let mut state = ScanState::default();
        if let Some((at, reached)) = current {
            todo.swap(0, at);
            sizes.swap(0, at);
            state = reached;
        }
        let mut todo = todo.into_iter().zip(sizes).peekable();
        // Small keys in one round trip, as many as fit.
        if state == ScanState::default() {
            let mut room = limit.saturating_sub(pairs.len());
            let mut small = Vec::new();
            while let Some((key, size)) = todo.next_if(|(_, size)| *size <= room) {
                room -= size;
                small.push((key, size));
            }
            self.read_small(small, progress, limit, pairs).await?;
        }
        // Then a page of the next key, which does not fit.
        while progress.current.is_none() && pairs.len() < limit {
            let Some((key, _)) = todo.next() else { break };
            let (owner, name) = &key;
            let room = limit - pairs.len();
            let from = std::mem::take(&mut state);
            let page = scan_key(self.servers, self.call, (name, self.kind), from, room).await?;
            self.add(owner, page.members, pairs)?;
            match page.next {
                Some(next) => progress.current = Some((digest(&key), next)),
                None => progress.done.push(digest(&key)),
            }
            if todo.peek().is_some() {
                // The rest in the next call, in one round trip again.
                break;
            }
        }
        Ok(())
    }

    /// The unfinished keys, and the number of members of each.
    async fn sizes(
        &self,
        keys: &[OwnedKey],
        progress: &Progress,
    ) -> Result<(Vec<OwnedKey>, Vec<usize>)> {
        let todo: Vec<_> = keys.iter().filter(|key| !progress.has(key)).cloned().collect();
        let name = match self.kind {
            Kind::Event => "SCARD",
            Kind::User => "HLEN",
        };
        let request =
            |(_, key): &OwnedKey| Request::read(key.slot, cmd(name).arg(&key.name).to_owned());
        let requests = todo.iter().map(request).collect();
        let answers = self.servers.run_all(self.call, requests).await?;
        let size = |answer: Answer| {
            let size = answer.values.first().and_then(reply::size);
            size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| self.malformed())
        };
        let sizes = answers.into_iter().map(size).collect::<Result<_>>()?;
        Ok((todo, sizes))
    }

    /// Lists keys that are expected to fit, all at once. If one has grown meanwhile, the next call
    /// goes on with it and with the keys after it.
    async fn read_small(
        &self,
        small: Vec<(OwnedKey, usize)>,
        progress: &mut Progress,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<()> {
        let request = |((_, key), size): &(OwnedKey, usize)| {
            // Generous, so that a sparse table is scanned to its end.
            scan_request(key, self.kind, 0, 2 * size + 16)
        };
        let requests = small.iter().map(request).collect();
        let answers = self.servers.run_all(self.call, requests).await?;
        for ((key, _), answer) in small.into_iter().zip(answers) {
            if pairs.len() >= limit {
                break;
            }
            let start = ScanState { server: answer.server, ..ScanState::default() };
            let (next, members) = read_scan(self.call.operation, self.kind, answer.into_value())?;
            let page = take(start, next, members, limit - pairs.len());
            self.add(&key.0, page.members, pairs)?;
            match page.next {
                Some(next) => {
                    progress.current = Some((digest(&key), next));
                    break;
                }
                None => progress.done.push(digest(&key)),
            }
        }
        Ok(())
    }

    fn add(&self, owner: &Owner, members: Vec<String>, pairs: &mut Vec<Rsvp>) -> Result<()> {
        for member in members {
            pairs.push(stored_id(self.call.operation, owner.with(&member))?);
        }
        Ok(())
    }

    fn malformed(&self) -> Error {
        Error::corrupt(self.call.operation, "unexpected reply to SCAN")
    }
}

impl Progress {
    /// Reads the cursor of a page, or begins without one.
    pub(crate) fn read(tag: u8, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let mut reader = CursorReader::new(tag, EVERYTHING, cursor)?;
        let (topology, node) = (reader.u64()?, reader.u16()?);
        let (server, cursor) = (reader.u64()?, reader.u64()?);
        let done = (0..reader.u16()?).map(|_| reader.u64()).collect::<Result<_>>()?;
        let current = match reader.u16()? {
            0 => None,
            1 => Some((reader.u64()?, read_state(&mut reader)?)),
            _ => return Err(Cursor::refused()),
        };
        reader.end()?;
        Ok(Self { topology, node, server, cursor, done, current })
    }

    fn cursor(&self, tag: u8) -> Cursor {
        let mut written = CursorWriter::new(tag, EVERYTHING)
            .u64(self.topology)
            .u16(self.node)
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

    fn has(&self, key: &OwnedKey) -> bool {
        self.done.contains(&digest(key))
    }
}

fn digest((_, key): &OwnedKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.name.hash(&mut hasher);
    hasher.finish()
}
