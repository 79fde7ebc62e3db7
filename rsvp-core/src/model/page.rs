//! Pages: how lists of any length are read in bounded pieces.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Consistency, Deadline, Error, ReadOptions, Result};

/// Where the next page of a listing begins.
///
/// Opaque to hosts: pass it back to the same listing of the same store. It prints as base64url,
/// fit for a query string. A cursor may be used more than once and holds no snapshot. To a backend it is a few bytes that it made itself and must distrust when they come
/// back: [`Error::InvalidInput`] with the field `cursor`, never a panic.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// The longest text that is accepted as a cursor, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// A cursor of the backend's own bytes: at least one, and at most 3,072 to stay within
    /// [`MAX_BYTES`](Self::MAX_BYTES) when printed.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The backend's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The error for a cursor that this listing never returned.
    pub fn refused() -> Error {
        Error::invalid_input("cursor", "is not one that this listing has returned")
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(Self::refused());
        }
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(|_| Self::refused())
    }
}

super::text::serde_as_text!(Cursor);

/// How much one step may take: the most items of a page, the most RSVPs that one step of a
/// removal deletes. From 1 to 10,000, 1,000 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The smallest limit, 1.
    pub const MIN: Self = Self(1);
    /// The largest limit, 10,000.
    pub const MAX: Self = Self(10_000);

    /// Checks and keeps `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `limit` if it is not within 1 to 10,000.
    pub fn new(limit: usize) -> Result<Self> {
        match u16::try_from(limit) {
            Ok(limit) if (Self::MIN.0..=Self::MAX.0).contains(&limit) => Ok(Self(limit)),
            _ => Err(Error::invalid_input("limit", "is not within 1 to 10000")),
        }
    }

    /// The limit as a number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(1000)
    }
}

/// Which page of a listing to read.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::{PageLimit, PageRequest, ReadOptions};
///
/// let request = PageRequest::default()
///     .with_limit(PageLimit::new(100)?)
///     .with_options(ReadOptions::eventual().with_timeout(Duration::from_secs(1)));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageRequest {
    /// Where the page begins: `None` for the first one, then [`Page::next`] of the page before.
    pub cursor: Option<Cursor>,
    /// The most items that the page may have.
    pub limit: PageLimit,
    /// The options of the read.
    pub options: ReadOptions,
}

impl PageRequest {
    /// The first page, with options.
    #[must_use]
    pub fn new(options: ReadOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Begins where another page ended. `None` begins at the start.
    #[must_use]
    pub fn with_cursor(self, cursor: impl Into<Option<Cursor>>) -> Self {
        Self { cursor: cursor.into(), ..self }
    }

    /// Sets the most items that the page may have.
    #[must_use]
    pub fn with_limit(self, limit: PageLimit) -> Self {
        Self { limit, ..self }
    }

    /// Sets the options of the read.
    #[must_use]
    pub fn with_options(self, options: ReadOptions) -> Self {
        Self { options, ..self }
    }

    /// Lowers the deadline to this one.
    #[must_use]
    pub fn with_deadline(self, deadline: Deadline) -> Self {
        Self { options: self.options.with_deadline(deadline), ..self }
    }

    /// Sets how fresh the page must be.
    #[must_use]
    pub fn with_consistency(self, consistency: Consistency) -> Self {
        Self { options: self.options.with_consistency(consistency), ..self }
    }
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Page<T> {
    /// At most the requested number of items. A page may be short, even empty, and not the last.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page, and where the next one begins.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next }
    }

    /// A page after which there is none.
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_printing(bytes in proptest::collection::vec(any::<u8>(), 1..=3072)) {
            let cursor = Cursor::new(bytes.clone());
            let parsed: Cursor = cursor.to_string().parse().unwrap();
            prop_assert_eq!(parsed.as_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_not_base64url_is_no_cursor() {
        for text in ["", "a", "a b", "AA==", "é", &"A".repeat(4097)] {
            let error = text.parse::<Cursor>().unwrap_err();
            assert!(matches!(error, Error::InvalidInput { field: "cursor", .. }), "{text:?}");
        }
    }

    #[test]
    fn limits_are_within_one_and_ten_thousand() {
        assert!(PageLimit::new(0).is_err() && PageLimit::new(10_001).is_err());
        assert!(PageLimit::new(usize::MAX).is_err() && PageLimit::new(65_537).is_err());
        assert_eq!(PageLimit::new(10_000).unwrap(), PageLimit::MAX);
    }
}
