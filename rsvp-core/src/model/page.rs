//! Pages: reading lists of any length in bounded pieces.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Consistency, Deadline, Error, ReadOptions, Result};

/// The place in a listing at which the next page begins.
///
/// A host passes it back to the same listing of the same store, and does not look inside.
/// It prints as base64url, fit for a query string. A cursor may be used more than once.
/// It holds no snapshot.
///
/// A backend writes its own bytes into a cursor,
/// and must not trust the bytes of a cursor that comes back.
/// It answers bad bytes with [`Error::InvalidInput`] and the field `cursor`, never with a panic.
///
/// ```
/// use rsvp_core::Cursor;
///
/// let cursor = Cursor::new(b"ann".as_slice());
/// assert_eq!(cursor.to_string(), "YW5u");
/// assert_eq!("YW5u".parse::<Cursor>()?, cursor);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// The greatest length of a cursor's text, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Makes a cursor of the backend's own bytes.
    /// It takes 1 to 3,072 bytes, because the printed form must stay within
    /// [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the backend's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the error for a cursor of another listing.
    pub fn refused() -> Error {
        Error::invalid_input("cursor", "was not returned by this listing")
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

/// The greatest number of items of a page, or of RSVPs that one step of a removal deletes.
/// From 1 to 10,000. Defaults to 1,000.
///
/// ```
/// use rsvp_core::PageLimit;
///
/// assert_eq!(PageLimit::default().get(), 1000);
/// assert!(PageLimit::new(10_001).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The smallest limit, 1.
    pub const MIN: Self = Self(1);
    /// The largest limit, 10,000.
    pub const MAX: Self = Self(10_000);

    /// Checks `limit`.
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

    /// Returns the limit as a number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(1000)
    }
}

/// A request for one page of a listing.
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
    /// The place of the page: `None` for the first one, then [`Page::next`] of the page before.
    pub cursor: Option<Cursor>,
    /// The greatest number of items of the page.
    pub limit: PageLimit,
    /// The options of the read.
    pub options: ReadOptions,
}

impl PageRequest {
    /// Makes a request for the first page, with options.
    #[must_use]
    pub fn new(options: ReadOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Sets the beginning of the page, the end of another one. `None` begins at the start.
    #[must_use]
    pub fn with_cursor(self, cursor: impl Into<Option<Cursor>>) -> Self {
        Self { cursor: cursor.into(), ..self }
    }

    /// Sets the greatest number of items of the page.
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
///
/// ```
/// use rsvp_core::{EventId, PageRequest, Result, RsvpStore, UserId};
///
/// /// Lists the attendees, page by page, as an API with "next" links does.
/// async fn attendees(store: &dyn RsvpStore, event: &EventId) -> Result<Vec<UserId>> {
///     let (mut all, mut request) = (Vec::new(), PageRequest::default());
///     loop {
///         let page = store.attendees_page(event, &request).await?;
///         all.extend(page.items);
///         let Some(next) = page.next else { return Ok(all) };
///         request = request.with_cursor(next);
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # use rsvp_core::RsvpStoreExt;
/// # let (store, event) = (rsvp_memory::MemoryStore::new(), EventId::from(1));
/// # store.rsvp(&UserId::from(7), &event).await?;
/// # assert_eq!(attendees(&store, &event).await?, [UserId::from(7)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Page<T> {
    /// The items, at most the requested number.
    /// A page may be short or even empty without being the last.
    pub items: Vec<T>,
    /// The cursor of the next page. `None` after the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page, with the cursor of the next one.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next }
    }

    /// Makes the last page of a listing.
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
