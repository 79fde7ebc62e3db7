//! Scanning the keyspace of a cluster, slot by slot.
//!
//! A key stays in its slot, whichever node serves the slot. So a scan by slots goes on when slots
//! move, and only asks for its current slot again.

use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{Cursor, Result, Rsvp};

use crate::data::cursor::{ScanState, read_state, write_state};
use crate::data::keys::{Keys, Kind};
use crate::data::scan_all::{EVERYTHING, KeyspaceScan, MAX_STEPS, OwnedKey, Read};
use crate::wire::slot::SLOTS;
use crate::wire::slot_keys::SlotKeys;

/// The keys of one step, unless a single slot has more.
const KEYS: u64 = 2_000;
/// The longest name of a key.
const MAX_NAME: usize = 1_024;

/// The position of a scan, the fields of its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    slot: u16,
    /// The last listed key of the slot, in the order of names, and the state of its scan unless it
    /// is finished.
    last: Option<(String, Option<ScanState>)>,
}

impl KeyspaceScan<'_> {
    /// As [`page`](Self::page), in a cluster.
    pub(super) async fn page_by_slot(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Rsvp>, Option<Cursor>)> {
        let mut position = Position::read(self.tag, cursor)?;
        self.servers.complete_topology(self.call).await?;
        let mut pairs = Vec::new();
        for _ in 0..MAX_STEPS {
            if position.slot >= SLOTS {
                return Ok((pairs, None));
            }
            // Step 1: ask for the keys of the next slots, in the order of slots and names. Keys up
            // to the position were listed by earlier pages and are skipped.
            let found = self.servers.keys_from(self.call, position.slot, KEYS).await;
            let found = found.map_err(|failure| failure.into_error(self.call.operation))?;
            let end = found.slots.end;
            let mut keys = owned_keys(self.keys, self.kind, found);
            let state = position.skip_listed(&mut keys);
            // Step 2: list as many of their members as fit.
            let Read { finished, begun } = self.read_keys(&keys, state, limit, &mut pairs).await?;
            // Step 3: move the position behind the listed members. With all keys finished it is the
            // next slot. Otherwise it is the half-listed key, or else the last finished one. If no
            // key was listed at all, the position stays.
            if finished == keys.len() && begun.is_none() {
                position = Position { slot: end, last: None };
            } else {
                let at = if begun.is_some() { finished } else { finished.saturating_sub(1) };
                if let Some((_, key)) = keys.get(at).filter(|_| begun.is_some() || finished > 0) {
                    position = Position { slot: key.slot, last: Some((key.name.clone(), begun)) };
                }
                break;
            }
            if pairs.len() >= limit {
                break;
            }
        }
        let next = (position.slot < SLOTS).then(|| position.cursor(self.tag));
        Ok((pairs, next))
    }
}

/// The keys of a kind among those of slots, in the order of the listing.
pub(super) fn owned_keys(keys: &Keys, kind: Kind, found: SlotKeys) -> Vec<OwnedKey> {
    let parsed = found.names.iter().filter_map(|name| keys.parse(kind, name));
    let mut owned: Vec<OwnedKey> =
        parsed.filter(|(_, key)| found.slots.contains(&key.slot)).collect();
    owned.sort_unstable_by(|(_, one), (_, other)| {
        (one.slot, &one.name).cmp(&(other.slot, &other.name))
    });
    // A slot that moves is asked for at several nodes.
    owned.dedup();
    owned
}

impl Position {
    /// Removes the listed keys. Returns the state of the first of the rest.
    fn skip_listed(&self, keys: &mut Vec<OwnedKey>) -> ScanState {
        let Some((last, state)) = &self.last else { return ScanState::default() };
        keys.retain(|(_, key)| {
            key.slot > self.slot || key.name > *last || key.name == *last && state.is_some()
        });
        let first = keys.first().filter(|(_, key)| key.name == *last);
        first.and(state.clone()).unwrap_or_default()
    }

    /// Reads the cursor of a page, or begins without one.
    fn read(tag: u8, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let mut reader = CursorReader::new(tag, EVERYTHING, cursor)?;
        let slot = reader.u16()?;
        let last = match reader.u16()? {
            0 => None,
            1 => Some((reader.text(MAX_NAME)?.to_owned(), None)),
            2 => Some((reader.text(MAX_NAME)?.to_owned(), Some(read_state(&mut reader)?))),
            _ => return Err(Cursor::refused()),
        };
        reader.end()?;
        Ok(Self { slot, last })
    }

    fn cursor(&self, tag: u8) -> Cursor {
        let written = CursorWriter::new(tag, EVERYTHING).u16(self.slot);
        match &self.last {
            None => written.u16(0).finish(),
            Some((name, None)) => written.u16(1).text(name).finish(),
            Some((name, Some(state))) => write_state(written.u16(2).text(name), state).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_can_be_read_back() {
        let state = ScanState { server: 7, cursor: 9, listed: None };
        for last in [None, Some(("a".repeat(900), None)), Some(("b".to_owned(), Some(state)))] {
            let position = Position { slot: 16_383, last };
            assert_eq!(Position::read(b's', Some(&position.cursor(b's'))).unwrap(), position);
        }
    }

    #[test]
    fn keys_that_have_been_listed_are_skipped_and_one_that_was_begun_goes_on() {
        let keys = Keys::new("rsvp", 1);
        let all = || {
            let names =
                ["a", "b", "c"].map(|id| keys.event(&rsvp_core::EventId::new(id).unwrap(), 0));
            let names = names.into_iter().map(|key| key.name.into_bytes()).collect();
            owned_keys(&keys, Kind::Event, SlotKeys { slots: 0..SLOTS, names })
        };
        let (_, second) = all()[1].clone();
        let after =
            |state| Position { slot: second.slot, last: Some((second.name.clone(), state)) };
        let mut left = all();
        assert_eq!(after(None).skip_listed(&mut left), ScanState::default());
        assert_eq!(left, all()[2..]);
        let state = ScanState { server: 7, cursor: 9, listed: None };
        let mut left = all();
        assert_eq!(after(Some(state.clone())).skip_listed(&mut left), state);
        assert_eq!(left, all()[1..]);
        // It has been removed meanwhile: the next one begins from its beginning.
        let mut left = vec![all()[0].clone(), all()[2].clone()];
        assert_eq!(after(Some(state)).skip_listed(&mut left), ScanState::default());
        assert_eq!(left, all()[2..]);
    }
}
