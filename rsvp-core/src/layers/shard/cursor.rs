//! Where a listing over shards goes on: which shard, and where in it.

use crate::{Cursor, Operation, Result};

/// Everything of the shards before this one, in the order of their hashes, has been listed.
#[derive(Clone, Debug)]
pub(super) struct ShardCursor {
    pub(super) shard: u64,
    /// Where the shard goes on; nothing at its beginning.
    pub(super) inner: Option<Cursor>,
}

impl ShardCursor {
    /// Reads a cursor of the listing `operation`; the first shard's beginning if there is none.
    pub(super) fn parse(operation: Operation, cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self { shard: 0, inner: None }) };
        let parsed = || {
            let (tag, rest) = cursor.as_bytes().split_first()?;
            let (shard, inner) = rest.split_first_chunk()?;
            let inner = if inner.is_empty() { None } else { Some(Cursor::new(inner)) };
            let shard = u64::from_be_bytes(*shard);
            (*tag == self::tag(operation)).then_some(Self { shard, inner })
        };
        parsed().ok_or_else(Cursor::refused)
    }

    pub(super) fn print(self, operation: Operation) -> Cursor {
        let mut bytes = vec![tag(operation)];
        bytes.extend(self.shard.to_be_bytes());
        bytes.extend(self.inner.iter().flat_map(|inner| inner.as_bytes()));
        Cursor::new(bytes)
    }
}

fn tag(operation: Operation) -> u8 {
    match operation {
        Operation::Attendees => b'A',
        Operation::EventsOf => b'E',
        _ => b'S',
    }
}
