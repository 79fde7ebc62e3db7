//! The cursor of a listing over shards: the shards in progress, and the position in each.

use crate::backend::{CursorReader, CursorWriter};
use crate::{Cursor, Operation, Result};

/// The progress of a listing.
/// Shards are identified by their hashes, and begun in the order of these.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// The last begun shard. `None` at the beginning.
    pub(super) begun: Option<u64>,
    /// The begun shards with more items, in the order of their hashes, each with its own cursor.
    pub(super) open: Vec<(u64, Cursor)>,
}

impl Position {
    /// Reads a cursor of the listing `operation` of a subject. Without a cursor the listing begins.
    pub(super) fn parse(
        operation: Operation,
        subject: &str,
        cursor: Option<&Cursor>,
    ) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let mut reader = CursorReader::new(tag(operation), subject, cursor)?;
        let begun = reader.u64()?;
        let mut open: Vec<(u64, Cursor)> = Vec::new();
        while !reader.is_at_end() {
            let hash = reader.u64()?;
            let cursor = Cursor::new(reader.bytes()?);
            if hash > begun || open.last().is_some_and(|(last, _)| *last >= hash) {
                return Err(Cursor::refused());
            }
            open.push((hash, cursor));
        }
        Ok(Self { begun: Some(begun), open })
    }

    pub(super) fn print(&self, operation: Operation, subject: &str) -> Cursor {
        let written =
            CursorWriter::new(tag(operation), subject).u64(self.begun.unwrap_or_default());
        let add = |written: CursorWriter, (hash, cursor): &(u64, Cursor)| {
            written.u64(*hash).bytes(cursor.as_bytes())
        };
        self.open.iter().fold(written, add).finish()
    }
}

/// Returns the bytes that an open shard adds to a cursor: its hash, the length and its own cursor.
pub(super) fn added_bytes(cursor: &Cursor) -> usize {
    8 + 2 + cursor.as_bytes().len()
}

/// The capital letters are in use by cursors of an earlier form.
fn tag(operation: Operation) -> u8 {
    match operation {
        Operation::Attendees => b'a',
        Operation::EventsOf => b'e',
        Operation::Audit => b'd',
        Operation::Repair => b'r',
        _ => b's',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(cursor: &Cursor) -> Result<Position> {
        Position::parse(Operation::Scan, "s", Some(cursor))
    }

    proptest! {
        #[test]
        fn a_position_comes_back_as_it_was_written(
            open in prop::collection::btree_map(0..1000_u64, prop::collection::vec(any::<u8>(), 1..40), 0..9),
            further in 0..5_u64,
        ) {
            let begun = open.keys().max().map_or(0, |last| last + further);
            let open = open.into_iter().map(|(hash, bytes)| (hash, Cursor::new(bytes))).collect();
            let position = Position { begun: Some(begun), open };
            prop_assert_eq!(parsed(&position.print(Operation::Scan, "s")).unwrap(), position);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let written = Position::default().print(Operation::Scan, "s");
            let head = written.as_bytes().iter().take(9).copied();
            let _ = parsed(&Cursor::new(head.chain(bytes).collect::<Vec<u8>>()));
        }
    }

    #[test]
    fn shards_out_of_order_or_not_begun_are_refused() {
        for (begun, hashes) in [(5, vec![6]), (5, vec![3, 2]), (5, vec![3, 3])] {
            let open = hashes.into_iter().map(|hash| (hash, Cursor::new([1]))).collect();
            let position = Position { begun: Some(begun), open };
            assert!(parsed(&position.print(Operation::Scan, "s")).is_err(), "{position:?}");
        }
    }
}
