//! Cursors as bytes, which come back from outside and are not trusted.

use crate::{Cursor, PageRequest, Result};

/// Writes the fields of a cursor, the tag of its listing first.
///
/// ```
/// use rsvp_core::backend::{CursorReader, CursorWriter};
///
/// let cursor = CursorWriter::new(b'a').u64(42).text("ann").finish();
/// let mut reader = CursorReader::new(b'a', &cursor)?;
/// assert_eq!((reader.u64()?, reader.text(255)?), (42, "ann"));
/// reader.end()?;
/// assert!(CursorReader::new(b'b', &cursor).is_err(), "of another listing");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CursorWriter(Vec<u8>);

impl CursorWriter {
    /// Begins a cursor of the listing with this tag.
    #[must_use]
    pub fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    /// Adds a number of 64 bits.
    #[must_use]
    pub fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// Adds a number of 16 bits.
    #[must_use]
    pub fn u16(mut self, number: u16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// Adds a text of at most 65,535 bytes, with its length. A longer one makes a cursor that
    /// [`CursorReader::text`] refuses.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let mut written = self.u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
        written.0.extend(text.as_bytes());
        written
    }

    /// Adds bytes that reach to the end of the cursor.
    #[must_use]
    pub fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The cursor.
    #[must_use]
    pub fn finish(self) -> Cursor {
        Cursor::new(self.0)
    }
}

/// Reads the fields that a [`CursorWriter`] wrote, in the same order.
///
/// # Errors
///
/// Every method returns [`Cursor::refused`] for bytes that no writer wrote.
#[derive(Debug)]
pub struct CursorReader<'a>(&'a [u8]);

impl<'a> CursorReader<'a> {
    /// The fields of the request's cursor, if it has one.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the cursor is of another listing.
    pub fn of(tag: u8, request: &'a PageRequest) -> Result<Option<Self>> {
        request.cursor.as_ref().map(|cursor| Self::new(tag, cursor)).transpose()
    }

    /// The fields of a cursor.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the cursor is of another listing.
    pub fn new(tag: u8, cursor: &'a Cursor) -> Result<Self> {
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

    /// Reads a number of 64 bits.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if too few bytes are left.
    pub fn u64(&mut self) -> Result<u64> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Cursor::refused())?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Reads a number of 16 bits.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if too few bytes are left.
    pub fn u16(&mut self) -> Result<u16> {
        let bytes = self.bytes(2)?.try_into().map_err(|_| Cursor::refused())?;
        Ok(u16::from_be_bytes(bytes))
    }

    /// Reads a text of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the text is longer, cut off or not UTF-8.
    pub fn text(&mut self, most: usize) -> Result<&'a str> {
        let length = usize::from(self.u16()?);
        if length > most {
            return Err(Cursor::refused());
        }
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Cursor::refused())
    }

    /// Reads the bytes that are left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if bytes are left.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Cursor::refused()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_come_back_as_they_were_written(
            number: u64,
            small: u16,
            text in "[a-zé]{0,60}",
            rest: Vec<u8>,
        ) {
            let written = CursorWriter::new(b'x').u16(small).text(&text).u64(number);
            let cursor = written.rest(&rest).finish();
            let mut reader = CursorReader::new(b'x', &cursor).unwrap();
            prop_assert_eq!(reader.u16().unwrap(), small);
            prop_assert_eq!(reader.text(120).unwrap(), text);
            prop_assert_eq!(reader.u64().unwrap(), number);
            prop_assert_eq!(reader.rest(), rest);
            prop_assert!(CursorReader::new(b'y', &cursor).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let cursor = Cursor::new([vec![b'x'], bytes].concat());
            let read = |mut reader: CursorReader<'_>| {
                reader.text(40)?;
                reader.u64()?;
                reader.u16()?;
                reader.end()
            };
            let _ = CursorReader::new(b'x', &cursor).and_then(read);
        }
    }

    #[test]
    fn a_text_over_its_limit_and_bytes_left_over_are_refused() {
        let cursor = CursorWriter::new(b'x').text("abc").finish();
        assert!(CursorReader::new(b'x', &cursor).unwrap().text(2).is_err());
        let reader = CursorReader::new(b'x', &cursor).unwrap();
        assert!(reader.end().is_err());
    }
}
