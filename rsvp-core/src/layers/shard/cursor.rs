//! Where a listing over shards goes on: which shard, and where in it.

use crate::backend::{CursorReader, CursorWriter};
use crate::{Cursor, Operation, Result};

/// Everything of the shards before this one, in the order of their hashes, has been listed.
#[derive(Clone, Debug)]
pub(super) struct ShardCursor {
    pub(super) shard: u64,
    /// Where the shard goes on; nothing at its beginning.
    pub(super) inner: Option<Cursor>,
}

impl ShardCursor {
    /// Reads a cursor of the listing `operation` of a subject. Without a cursor it is the beginning
    /// of the first shard.
    pub(super) fn parse(
        operation: Operation,
        subject: &str,
        cursor: Option<&Cursor>,
    ) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self { shard: 0, inner: None }) };
        let mut reader = CursorReader::new(tag(operation), subject, cursor)?;
        let shard = reader.u64()?;
        let inner = reader.rest();
        let inner = if inner.is_empty() { None } else { Some(Cursor::new(inner)) };
        Ok(Self { shard, inner })
    }

    pub(super) fn print(self, operation: Operation, subject: &str) -> Cursor {
        let written = CursorWriter::new(tag(operation), subject).u64(self.shard);
        written.rest(self.inner.as_ref().map_or(&[], Cursor::as_bytes)).finish()
    }
}

fn tag(operation: Operation) -> u8 {
    match operation {
        Operation::Attendees => b'A',
        Operation::EventsOf => b'E',
        Operation::Audit => b'D',
        Operation::Repair => b'R',
        _ => b'S',
    }
}
