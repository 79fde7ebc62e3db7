//! Walking over everything: the keys of each node, and what each holds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use redis::{Value, cmd};
use rsvp_core::{Cursor, Error, Operation, Result, Rsvp};

use crate::data::cursor::{Reader, Writer};
use crate::data::keys::{Key, Keys, Kind, Owner};
use crate::data::scan_key::{Position, list, read_scan, scan_unit, take, text};
use crate::data::write::all;
use crate::wire::client::Network;
use crate::wire::failure::Failure;
use crate::wire::node::Node;
use crate::wire::request::{Answer, Unit, send};

/// Keys that a node looks at in one step. Few enough that those which are done fit into a cursor.
const KEYS: usize = 100;
/// The most keys whose digests fit into a cursor. A step has about as many as are asked for, and
/// would need very long chains in the server's table to have so many more; the rest is then listed
/// again.
const DONE: usize = 340;
/// Steps over keys of one call, in which it may find none that it looks for.
const STEPS: usize = 32;

/// How far a walk has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Who serves what, since the walk began.
    topology: u64,
    /// The place of the node among those.
    node: u16,
    /// Its process, and the cursor of its `SCAN`.
    server: u64,
    scan: u64,
    /// The keys of this step that are done, by digest. The step is asked for again with each call,
    /// and may then have others.
    done: Vec<u64>,
    /// The key that is at work, and how far it is.
    current: Option<(u64, Position)>,
}

/// A walk over the keys of a kind.
pub(crate) struct Walk<'a> {
    pub(crate) network: &'a Arc<Network>,
    pub(crate) keys: &'a Keys,
    pub(crate) operation: Operation,
    pub(crate) kind: Kind,
    /// What its cursors begin with.
    pub(crate) tag: u8,
}

impl Walk<'_> {
    /// At most `limit` pairs from the cursor on, and where to go on.
    ///
    /// What is there during the whole walk is seen at least once. It begins again when any slot has
    /// been taken over by another node, and begins a node again when that has been restarted.
    pub(crate) async fn page(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, Option<Cursor>)> {
        let mut progress = match cursor {
            Some(cursor) => self.read(cursor)?,
            None => Progress::default(),
        };
        if self.network.config().cluster {
            self.network.refresh(self.operation, Duration::ZERO, &[]).await?;
        }
        let topology = self.network.topology();
        if !topology.is_complete() {
            return Err(Failure::NotServed.into_error(self.operation));
        }
        if progress.topology != topology.fingerprint() {
            progress = Progress { topology: topology.fingerprint(), ..Progress::default() };
        }
        let mut pairs = Vec::new();
        for _ in 0..STEPS {
            let Some(node) = topology.nodes.get(usize::from(progress.node)) else {
                return Ok((pairs, None));
            };
            let (next, keys) = self.step(node, &mut progress).await?;
            self.read_keys(&keys, &mut progress, limit, &mut pairs).await?;
            if progress.current.is_some() || keys.iter().any(|key| !progress.has(key)) {
                break;
            }
            progress.done.clear();
            progress.scan = next;
            if next == 0 {
                progress.node += 1;
                progress.server = 0;
            }
            if pairs.len() >= limit {
                break;
            }
        }
        let last = usize::from(progress.node) >= topology.nodes.len();
        Ok((pairs, (!last).then(|| self.write(&progress))))
    }

    /// The keys of the step that is at work, in order.
    async fn step(&self, node: &Node, progress: &mut Progress) -> Result<(u64, Vec<(Owner, Key)>)> {
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(progress.scan).arg("MATCH").arg(self.keys.pattern(self.kind));
            scan.arg("COUNT").arg(KEYS);
            let answers = send(node, &[Unit::read(0, scan)], false).await;
            let answer = all(self.operation, answers)?.into_iter().next();
            let answer = answer.ok_or_else(|| self.corrupt())?;
            if progress.server != answer.server {
                let began = progress.scan != 0 || !progress.done.is_empty();
                progress.server = answer.server;
                progress.scan = 0;
                progress.done.clear();
                progress.current = None;
                if began {
                    continue;
                }
            }
            let value = answer.values.into_iter().next();
            let Some(Value::Array(parts)) = value else { return Err(self.corrupt()) };
            let Ok([next, Value::Array(names)]) = <[Value; 2]>::try_from(parts) else {
                return Err(self.corrupt());
            };
            let next = text(self.operation, next)?;
            let next = next.parse().map_err(|_| self.corrupt())?;
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

    /// Lists what the step's keys hold, as far as it fits.
    async fn read_keys(
        &self,
        keys: &[(Owner, Key)],
        progress: &mut Progress,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<()> {
        let known: Vec<u64> = keys.iter().map(digest).collect();
        progress.done.retain(|done| known.contains(done));
        let (mut todo, mut sizes) = self.sizes(keys, progress).await?;
        // The key at work comes first.
        let current = progress.current.take();
        let current = current.and_then(|(key, position)| {
            let at = todo.iter().position(|todo| digest(todo) == key)?;
            Some((at, position))
        });
        let mut position = Position::default();
        if let Some((at, reached)) = current {
            todo.swap(0, at);
            sizes.swap(0, at);
            position = reached;
        }
        let mut todo = todo.into_iter().zip(sizes).peekable();
        // Small ones in one round trip, as many as fit.
        if position == Position::default() {
            let mut room = limit.saturating_sub(pairs.len());
            let mut small = Vec::new();
            while let Some((key, size)) = todo.next_if(|(_, size)| *size <= room) {
                room -= size;
                small.push((key, size));
            }
            self.read_small(small, progress, limit, pairs).await?;
        }
        while progress.current.is_none() && pairs.len() < limit {
            let Some((key, _)) = todo.next() else { break };
            let (owner, name) = &key;
            let room = limit - pairs.len();
            let from = std::mem::take(&mut position);
            let listed = list(self.network, self.operation, (name, self.kind), from, room).await?;
            self.add(owner, listed.members, pairs)?;
            match listed.next {
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

    /// The keys that are not done, with how much each holds.
    async fn sizes(
        &self,
        keys: &[(Owner, Key)],
        progress: &Progress,
    ) -> Result<(Vec<(Owner, Key)>, Vec<usize>)> {
        let todo: Vec<_> = keys.iter().filter(|key| !progress.has(key)).cloned().collect();
        let name = match self.kind {
            Kind::Event => "SCARD",
            Kind::User => "HLEN",
        };
        let unit =
            |(_, key): &(Owner, Key)| Unit::read(key.slot, cmd(name).arg(&key.name).to_owned());
        let units = todo.iter().map(unit).collect();
        let answers = all(self.operation, self.network.run(self.operation, units).await)?;
        let size = |answer: Answer| match answer.values.first() {
            Some(Value::Int(size)) => usize::try_from(*size).map_err(|_| self.corrupt()),
            _ => Err(self.corrupt()),
        };
        let sizes = answers.into_iter().map(size).collect::<Result<_>>()?;
        Ok((todo, sizes))
    }

    /// Lists keys that are believed to fit, all at once. One that has grown meanwhile goes on
    /// with the next call, and those after it come then.
    async fn read_small(
        &self,
        small: Vec<((Owner, Key), usize)>,
        progress: &mut Progress,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<()> {
        let unit = |((_, key), size): &((Owner, Key), usize)| {
            // Generous, so that a sparse table is seen to its end.
            scan_unit(key, self.kind, 0, 2 * size + 16)
        };
        let units = small.iter().map(unit).collect();
        let answers = all(self.operation, self.network.run(self.operation, units).await)?;
        for ((key, _), answer) in small.into_iter().zip(answers) {
            if pairs.len() >= limit {
                break;
            }
            let value = answer.values.into_iter().next();
            let (next, members) = read_scan(self.operation, self.kind, value)?;
            let start = Position { server: answer.server, ..Position::default() };
            let listed = take(start, next, members, limit - pairs.len());
            self.add(&key.0, listed.members, pairs)?;
            match listed.next {
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
            let pair = owner
                .with(&member)
                .map_err(|error| Error::corrupt(self.operation, format!("a stored id: {error}")))?;
            pairs.push(pair);
        }
        Ok(())
    }

    fn corrupt(&self) -> Error {
        Error::corrupt(self.operation, "an answer to a scan that is none")
    }

    fn write(&self, progress: &Progress) -> Cursor {
        let mut written = Writer::new(self.tag)
            .number(progress.topology)
            .small(progress.node)
            .number(progress.server)
            .number(progress.scan)
            .small(progress.done.len().min(DONE).try_into().unwrap_or(u16::MAX));
        for done in progress.done.iter().take(DONE) {
            written = written.number(*done);
        }
        match &progress.current {
            None => written.small(0).cursor(),
            Some((key, position)) => written.small(1).number(*key).position(position).cursor(),
        }
    }

    fn read(&self, cursor: &Cursor) -> Result<Progress> {
        let mut reader = Reader::new(self.tag, cursor)?;
        let (topology, node) = (reader.number()?, reader.small()?);
        let (server, scan) = (reader.number()?, reader.number()?);
        let done = (0..reader.small()?).map(|_| reader.number()).collect::<Result<_>>()?;
        let current = match reader.small()? {
            0 => None,
            1 => Some((reader.number()?, reader.position()?)),
            _ => return Err(Cursor::refused()),
        };
        reader.end()?;
        Ok(Progress { topology, node, server, scan, done, current })
    }
}

impl Progress {
    fn has(&self, key: &(Owner, Key)) -> bool {
        self.done.contains(&digest(key))
    }
}

fn digest((_, key): &(Owner, Key)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.name.hash(&mut hasher);
    hasher.finish()
}
