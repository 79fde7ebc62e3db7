//! Pages of a sorted listing.

use super::{CursorReader, CursorWriter};
use crate::{MAX_ID_BYTES, Page, PageRequest, Result};

/// Returns the page after the request's cursor (keyset pagination).
///
/// Each item of `sorted` comes with its key, the ids by which the listing is sorted.
/// The cursor is the key of the last item of the page before.
/// So an item appears exactly once, whatever is added or removed around it.
/// `tag` and `subject` are those of a [`CursorWriter`].
///
/// ```
/// use rsvp_core::backend::keyset_page;
/// use rsvp_core::{PageLimit, PageRequest};
///
/// let sorted = || [(["ann"], 1), (["bob"], 2), (["cat"], 3)];
/// let first = PageRequest::default().with_limit(PageLimit::new(2)?);
/// let page = keyset_page((b'u', "fair"), &first, sorted())?;
/// assert_eq!(page.items, [1, 2]);
/// let rest = first.with_cursor(page.next);
/// assert_eq!(keyset_page((b'u', "fair"), &rest, sorted())?.items, [3]);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Cursor::refused`](crate::Cursor::refused) for a cursor of another listing or subject.
pub fn keyset_page<'a, T, const IDS: usize>(
    (tag, subject): (u8, &str),
    request: &PageRequest,
    sorted: impl IntoIterator<Item = ([&'a str; IDS], T)>,
) -> Result<Page<T>> {
    let mut before = None;
    if let Some(mut cursor) = CursorReader::of(tag, subject, request)? {
        let mut key = [""; IDS];
        for id in &mut key {
            *id = cursor.text(MAX_ID_BYTES)?;
        }
        cursor.end()?;
        before = Some(key);
    }
    let is_after = |key: &[&str; IDS]| before.is_none_or(|before| *key > before);
    let mut after = sorted.into_iter().filter(|(key, _)| is_after(key));
    let (keys, items): (Vec<_>, _) = after.by_ref().take(request.limit.get()).unzip();
    // There is another page if there is another item.
    let last = after.next().and(keys.last());
    let cursor = |key: &[&str; IDS]| {
        key.iter().fold(CursorWriter::new(tag, subject), |cursor, id| cursor.text(id)).finish()
    };
    Ok(Page::new(items, last.map(cursor)))
}
