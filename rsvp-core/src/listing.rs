//! Streams over pages.

use std::future::Future;
use std::vec;

use futures_util::stream::{self, BoxStream, StreamExt};

use crate::{Page, PageRequest, Result};

struct Listing<T> {
    items: vec::IntoIter<T>,
    /// The page after those items, if there is one.
    next: Option<PageRequest>,
}

/// The items of the requested page and of all that follow it.
///
/// `read` reads one page. It is called only when the items of the page before are used up, and
/// never again after an error.
pub(crate) fn pages<'a, T, R, F>(request: PageRequest, read: R) -> BoxStream<'a, Result<T>>
where
    T: Send + 'a,
    R: Fn(PageRequest) -> F + Send + Sync + 'a,
    F: Future<Output = (PageRequest, Result<Page<T>>)> + Send + 'a,
{
    let start = Listing { items: Vec::new().into_iter(), next: Some(request) };
    stream::try_unfold((start, read), |(mut listing, read)| async move {
        loop {
            if let Some(item) = listing.items.next() {
                return Ok(Some((item, (listing, read))));
            }
            let Some(request) = listing.next.take() else { return Ok(None) };
            let (request, page) = read(request).await;
            let Page { items, next } = page?;
            listing.items = items.into_iter();
            listing.next = next.map(|cursor| PageRequest { cursor: Some(cursor), ..request });
        }
    })
    .boxed()
}
