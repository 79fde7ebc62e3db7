//! Cursors as bytes, which come back from outside and are not trusted.

use rsvp_core::{Cursor, MAX_ID_BYTES, PageRequest, Result};

use crate::data::scan_key::{Part, Position};

/// Writes the fields of a cursor, the tag of its listing first.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn small(mut self, number: u16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn position(self, position: &Position) -> Self {
        let written = self.number(position.server).number(position.scan);
        match &position.part {
            None => written.small(0),
            Some(Part { last, digest }) => {
                let written = match digest {
                    None => written.small(1),
                    Some(digest) => written.small(2).number(*digest),
                };
                let mut written = written.small(last.len().try_into().unwrap_or(u16::MAX));
                written.0.extend(last.as_bytes());
                written
            }
        }
    }

    pub(crate) fn cursor(self) -> Cursor {
        Cursor::new(self.0)
    }
}

/// Reads what a [`Writer`] wrote.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The fields of the request's cursor, if it has one.
    pub(crate) fn of(tag: u8, request: &'a PageRequest) -> Result<Option<Self>> {
        let cursor = request.cursor.as_ref();
        cursor.map(|cursor| Self::new(tag, cursor)).transpose()
    }

    pub(crate) fn new(tag: u8, cursor: &'a Cursor) -> Result<Self> {
        match cursor.as_bytes().split_first() {
            Some((own, fields)) if *own == tag => Ok(Self(fields)),
            _ => Err(Cursor::refused()),
        }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count).ok_or_else(Cursor::refused)?;
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Cursor::refused())?;
        Ok(u64::from_be_bytes(bytes))
    }

    pub(crate) fn small(&mut self) -> Result<u16> {
        let bytes = self.bytes(2)?.try_into().map_err(|_| Cursor::refused())?;
        Ok(u16::from_be_bytes(bytes))
    }

    pub(crate) fn position(&mut self) -> Result<Position> {
        let (server, scan) = (self.number()?, self.number()?);
        let digest = match self.small()? {
            0 => return Ok(Position { server, scan, part: None }),
            1 => None,
            2 => Some(self.number()?),
            _ => return Err(Cursor::refused()),
        };
        let length = usize::from(self.small()?);
        if length > MAX_ID_BYTES {
            return Err(Cursor::refused());
        }
        let last = std::str::from_utf8(self.bytes(length)?).map_err(|_| Cursor::refused())?;
        Ok(Position { server, scan, part: Some(Part { last: last.to_owned(), digest }) })
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Cursor::refused()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn positions() -> impl Strategy<Value = Position> {
        let part = ("[a-zé]{0,60}", any::<Option<u64>>());
        let part = proptest::option::of(part.prop_map(|(last, digest)| Part { last, digest }));
        (any::<u64>(), any::<u64>(), part).prop_map(|(server, scan, part)| Position {
            server,
            scan,
            part,
        })
    }

    proptest! {
        #[test]
        fn what_was_written_can_be_read(position in positions(), number: u64, small: u16) {
            let cursor = Writer::new(b'x').small(small).position(&position).number(number).cursor();
            let mut reader = Reader::new(b'x', &cursor).unwrap();
            prop_assert_eq!(reader.small().unwrap(), small);
            prop_assert_eq!(reader.position().unwrap(), position);
            prop_assert_eq!(reader.number().unwrap(), number);
            reader.end().unwrap();
            prop_assert!(Reader::new(b'y', &cursor).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let cursor = Cursor::new([vec![b'x'], bytes].concat());
            let _ = Reader::new(b'x', &cursor).and_then(|mut reader| reader.position());
        }
    }
}
