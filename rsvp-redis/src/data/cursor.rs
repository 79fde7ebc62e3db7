//! Cursors, with the tag of each listing and the state of a scan as fields.

use rsvp_core::backend::{CursorReader, CursorWriter};
use rsvp_core::{Cursor, MAX_ID_BYTES, Result};

/// The first byte of a cursor, the listing of the cursor.
pub(crate) mod tag {
    pub(crate) const ATTENDEES: u8 = b'a';
    pub(crate) const EVENTS_OF: u8 = b'e';
    pub(crate) const SCAN: u8 = b's';
    pub(crate) const AUDIT_EVENTS: u8 = b't';
    pub(crate) const AUDIT_USERS: u8 = b'u';
}

/// The state of the scan of one set or hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanState {
    /// The server of the cursor. Another server visits the members in another order.
    pub(crate) server: u64,
    /// The cursor of `SSCAN` or `HSCAN`, 0 at the beginning.
    pub(crate) cursor: u64,
    /// The members already listed of the reply to this cursor, if it did not fit into a page.
    pub(crate) listed: Option<Listed>,
}

/// The beginning of a reply, in the order of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The last listed member.
    pub(crate) last: String,
    /// A digest of all members up to the last, to see whether the next reply begins the same.
    /// `None` if the reply held the whole set, since every member after the last is then new.
    pub(crate) digest: Option<u64>,
}

/// Writes the state of a scan into a cursor.
pub(crate) fn write_state(cursor: CursorWriter, state: &ScanState) -> CursorWriter {
    let cursor = cursor.u64(state.server).u64(state.cursor);
    match &state.listed {
        None => cursor.u16(0),
        Some(Listed { last, digest: None }) => cursor.u16(1).text(last),
        Some(Listed { last, digest: Some(digest) }) => cursor.u16(2).u64(*digest).text(last),
    }
}

/// Reads the fields of [`write_state`].
pub(crate) fn read_state(reader: &mut CursorReader<'_>) -> Result<ScanState> {
    let (server, cursor) = (reader.u64()?, reader.u64()?);
    let digest = match reader.u16()? {
        0 => return Ok(ScanState { server, cursor, listed: None }),
        1 => None,
        2 => Some(reader.u64()?),
        _ => return Err(Cursor::refused()),
    };
    let last = reader.text(MAX_ID_BYTES)?.to_owned();
    Ok(ScanState { server, cursor, listed: Some(Listed { last, digest }) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = ScanState> {
        let listed = ("[a-zé]{0,60}", any::<Option<u64>>());
        let listed = listed.prop_map(|(last, digest)| Listed { last, digest });
        (any::<u64>(), any::<u64>(), proptest::option::of(listed))
            .prop_map(|(server, cursor, listed)| ScanState { server, cursor, listed })
    }

    proptest! {
        #[test]
        fn a_written_state_can_be_read(state in states(), number: u64, small: u16) {
            let cursor = write_state(CursorWriter::new(b'x', "s").u16(small), &state);
            let cursor = cursor.u64(number).finish();
            let mut reader = CursorReader::new(b'x', "s", &cursor).unwrap();
            prop_assert_eq!(reader.u16().unwrap(), small);
            prop_assert_eq!(read_state(&mut reader).unwrap(), state);
            prop_assert_eq!(reader.u64().unwrap(), number);
            reader.end().unwrap();
            prop_assert!(CursorReader::new(b'y', "s", &cursor).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let cursor = Cursor::new([vec![b'x'], bytes].concat());
            let _ = CursorReader::new(b'x', "s", &cursor).and_then(|mut reader| read_state(&mut reader));
        }
    }
}
