//! Scanning the keyspace, all keys of a kind and the members of each key.
//!
//! The scan has three parts. `scan_slots` finds the keys of a cluster slot by slot, `scan_server`
//! finds the keys of a single server by its `SCAN`, and `scan_key` reads the members of one key.
//! This file chooses among them, and fills a page with the members of the keys found.

use redis::cmd;
use rsvp_core::backend::stored_id;
use rsvp_core::{Cursor, Error, Result, Rsvp};

use crate::data::cursor::ScanState;
use crate::data::keys::{Key, Keys, Kind, Owner};
use crate::data::reply;
use crate::data::scan_key::{read_scan, scan_key, scan_request, take};
use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;
use crate::wire::request::{Answer, Dispatch, Request};

/// The subject of the cursors.
pub(super) const EVERYTHING: &str = "";
/// The most steps of one call. A step may find no key of the kind, when other applications share
/// the server.
pub(super) const MAX_STEPS: usize = 32;

/// A key and its owner.
pub(super) type OwnedKey = (Owner, Key);

/// A scan of all keys of a kind, by slot in a cluster, otherwise by the server's own `SCAN`.
pub(crate) struct KeyspaceScan<'a> {
    pub(crate) servers: &'a ClusterClient,
    pub(crate) keys: &'a Keys,
    pub(crate) call: Call,
    pub(crate) kind: Kind,
    /// The first byte of its cursors.
    pub(crate) tag: u8,
}

/// How far a list of keys has been read.
pub(super) struct Read {
    /// The number of completely listed keys.
    pub(super) finished: usize,
    /// How far the key after them has got, if it has been begun.
    pub(super) begun: Option<ScanState>,
}

impl KeyspaceScan<'_> {
    /// At most `limit` more pairs, and the cursor of the next page.
    ///
    /// If a pair exists during the whole scan, it is seen at least once.
    pub(crate) async fn page(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, Option<Cursor>)> {
        if self.servers.is_cluster() {
            self.page_by_slot(cursor, limit).await
        } else {
            self.page_by_scan(cursor, limit).await
        }
    }

    /// Lists the members of keys in order, as far as they fit into `limit` pairs. The first key is
    /// read on from `state`.
    pub(super) async fn read_keys(
        &self,
        keys: &[OwnedKey],
        state: ScanState,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<Read> {
        // Step 1: ask for the sizes of all keys, to know which of them fit into the page.
        let sizes = self.sizes(keys).await?;
        let mut finished = 0;
        // Step 2: list small keys completely, in one round trip, as many from the first on as fit
        // together. A half-listed first key goes to step 3, because it continues at its own state.
        if state == ScanState::default() {
            let mut room = limit.saturating_sub(pairs.len());
            let fit = sizes.iter().take_while(|size| {
                let fits = **size <= room;
                room = room.saturating_sub(**size);
                fits
            });
            let small = fit.count();
            let read = self.read_small(keys.iter().zip(sizes).take(small), limit, pairs).await?;
            // A key has grown since step 1 and fills the page.
            if read.begun.is_some() || read.finished < small {
                return Ok(read);
            }
            finished = small;
        }
        // Step 3: fill the rest of the page with members of the next key, which does not fit.
        let key = keys.get(finished).filter(|_| pairs.len() < limit);
        let mut begun = None;
        if let Some((owner, name)) = key {
            let room = limit - pairs.len();
            let page = scan_key(self.servers, self.call, (name, self.kind), state, room).await?;
            self.add(owner, page.members, pairs)?;
            begun = page.next;
            finished += usize::from(begun.is_none());
        }
        Ok(Read { finished, begun })
    }

    /// The number of members of each key.
    async fn sizes(&self, keys: &[OwnedKey]) -> Result<Vec<usize>> {
        let name = match self.kind {
            Kind::Event => "SCARD",
            Kind::User => "HLEN",
        };
        let request =
            |(_, key): &OwnedKey| Request::read(key.slot, cmd(name).arg(&key.name).to_owned());
        let requests = keys.iter().map(request).collect();
        let answers = self.servers.run_all(self.call, requests).await?;
        let size = |answer: Answer| {
            let size = answer.values.first().and_then(reply::size);
            size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| self.malformed())
        };
        answers.into_iter().map(size).collect()
    }

    /// Lists small keys completely, all at once. If a key has grown meanwhile, the next call goes
    /// on with it and with the keys after it.
    async fn read_small(
        &self,
        small: impl Iterator<Item = (&OwnedKey, usize)>,
        limit: usize,
        pairs: &mut Vec<Rsvp>,
    ) -> Result<Read> {
        let small: Vec<_> = small.collect();
        let request = |((_, key), size): &(&OwnedKey, usize)| {
            // `COUNT` is a number of buckets, and a table may be half empty after removals. Twice
            // the size and a little more scans such a table to its end.
            scan_request(key, self.kind, 0, 2 * size + 16)
        };
        let requests = small.iter().map(request).collect();
        let answers = self.servers.run_all(self.call, requests).await?;
        // Keys after a full page count as not finished, although their replies are here. The next
        // call reads them again.
        let mut finished = 0;
        for (((owner, _), _), answer) in small.into_iter().zip(answers) {
            if pairs.len() >= limit {
                break;
            }
            let start = ScanState { server: answer.server, ..ScanState::default() };
            let (next, members) = read_scan(self.call.operation, self.kind, answer.into_value())?;
            let page = take(start, next, members, limit - pairs.len());
            self.add(owner, page.members, pairs)?;
            if page.next.is_some() {
                return Ok(Read { finished, begun: page.next });
            }
            finished += 1;
        }
        Ok(Read { finished, begun: None })
    }

    fn add(&self, owner: &Owner, members: Vec<String>, pairs: &mut Vec<Rsvp>) -> Result<()> {
        for member in members {
            pairs.push(stored_id(self.call.operation, owner.with(&member))?);
        }
        Ok(())
    }

    pub(super) fn malformed(&self) -> Error {
        Error::corrupt(self.call.operation, "unexpected reply to SCAN")
    }
}
