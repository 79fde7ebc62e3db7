//! Cursors as bytes. They come back from outside, and are not trusted.

use crate::{Cursor, PageRequest, Result};

/// Writes the fields of a cursor, the tag of its listing and its subject first.
///
/// ```
/// use rsvp_core::backend::{CursorReader, CursorWriter};
///
/// let cursor = CursorWriter::new(b'a', "fair").u64(42).text("ann").finish();
/// let mut reader = CursorReader::new(b'a', "fair", &cursor)?;
/// assert_eq!((reader.u64()?, reader.text(255)?), (42, "ann"));
/// reader.end()?;
/// assert!(CursorReader::new(b'b', "fair", &cursor).is_err(), "of another listing");
/// assert!(CursorReader::new(b'a', "ball", &cursor).is_err(), "of another subject");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CursorWriter(Vec<u8>);

impl CursorWriter {
    /// Begins a cursor with the tag of the listing and with its subject: an event, a user,
    /// or an empty text for a listing of everything.
    #[must_use]
    pub fn new(tag: u8, subject: &str) -> Self {
        Self(vec![tag]).u64(digest(subject))
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

    /// Adds a text of at most 65,535 bytes, with its length.
    /// [`CursorReader::text`] refuses the cursor of a longer one.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds at most 65,535 bytes, with their length.
    /// [`CursorReader::bytes`] refuses the cursor of more bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut written = self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        written.0.extend(bytes);
        written
    }

    /// Adds bytes up to the end of the cursor.
    #[must_use]
    pub fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Returns the cursor.
    #[must_use]
    pub fn finish(self) -> Cursor {
        Cursor::new(self.0)
    }
}

/// A reader of the fields that a [`CursorWriter`] wrote, in the same order.
///
/// # Errors
///
/// Every method returns [`Cursor::refused`] for bytes of another origin.
///
/// ```
/// use rsvp_core::backend::{CursorReader, CursorWriter};
///
/// let cursor = CursorWriter::new(b'a', "fair").u16(7).rest(b"ann").finish();
/// let mut reader = CursorReader::new(b'a', "fair", &cursor)?;
/// assert_eq!(reader.u16()?, 7);
/// assert_eq!(reader.rest(), b"ann");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CursorReader<'a>(&'a [u8]);

impl<'a> CursorReader<'a> {
    /// Begins to read the request's cursor, if it has one.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the cursor is of another listing.
    pub fn of(tag: u8, subject: &str, request: &'a PageRequest) -> Result<Option<Self>> {
        request.cursor.as_ref().map(|cursor| Self::new(tag, subject, cursor)).transpose()
    }

    /// Begins to read a cursor.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the cursor is of another listing or another subject.
    pub fn new(tag: u8, subject: &str, cursor: &'a Cursor) -> Result<Self> {
        let mut reader = match cursor.as_bytes().split_first() {
            Some((own, fields)) if *own == tag => Self(fields),
            _ => return Err(Cursor::refused()),
        };
        if reader.u64()? == digest(subject) { Ok(reader) } else { Err(Cursor::refused()) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
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
        let bytes = self.take(8)?.try_into().map_err(|_| Cursor::refused())?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Reads a number of 16 bits.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if too few bytes are left.
    pub fn u16(&mut self) -> Result<u16> {
        let bytes = self.take(2)?.try_into().map_err(|_| Cursor::refused())?;
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
        std::str::from_utf8(self.take(length)?).map_err(|_| Cursor::refused())
    }

    /// Reads bytes with their length.
    ///
    /// # Errors
    ///
    /// [`Cursor::refused`] if the bytes are cut off.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }

    /// Returns whether nothing is left.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads all bytes that are left.
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

/// Returns the digest of a subject, the same in every process: FNV-1a of 64 bits (Fowler, Noll
/// and Vo, RFC 9923). It detects mistakes, but no forgery.
fn digest(subject: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    subject.bytes().fold(0xcbf2_9ce4_8422_2325, step)
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
            nested in proptest::collection::vec(any::<u8>(), 0..40),
            rest: Vec<u8>,
        ) {
            let written = CursorWriter::new(b'x', "s").u16(small).text(&text).bytes(&nested);
            let written = written.u64(number);
            let cursor = written.rest(&rest).finish();
            let mut reader = CursorReader::new(b'x', "s", &cursor).unwrap();
            prop_assert_eq!(reader.u16().unwrap(), small);
            prop_assert_eq!(reader.text(120).unwrap(), text);
            prop_assert_eq!(reader.bytes().unwrap(), nested);
            prop_assert_eq!(reader.u64().unwrap(), number);
            prop_assert_eq!(reader.is_at_end(), rest.is_empty());
            prop_assert_eq!(reader.rest(), rest);
            prop_assert!(CursorReader::new(b'y', "s", &cursor).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let cursor = Cursor::new([vec![b'x'], bytes].concat());
            let read = |mut reader: CursorReader<'_>| {
                reader.text(40)?;
                reader.bytes()?;
                reader.u64()?;
                reader.u16()?;
                reader.end()
            };
            let _ = CursorReader::new(b'x', "s", &cursor).and_then(read);
        }
    }

    #[test]
    fn a_text_over_its_limit_and_bytes_left_over_are_refused() {
        let cursor = CursorWriter::new(b'x', "s").text("abc").finish();
        assert!(CursorReader::new(b'x', "s", &cursor).unwrap().text(2).is_err());
        let reader = CursorReader::new(b'x', "s", &cursor).unwrap();
        assert!(reader.end().is_err());
    }
}
