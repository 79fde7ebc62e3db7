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

/// Streams the items of the requested page and of all following pages.
///
/// `read` reads one page.
/// The stream calls it after it has yielded all items of the page before, and never again
/// after an error.
pub(crate) fn pages<'a, T, R, F>(request: PageRequest, read: R) -> BoxStream<'a, Result<T>>
where
    T: Send + 'a,
    R: Fn(PageRequest) -> F + Send + Sync + 'a,
    F: Future<Output = (PageRequest, Result<Page<T>>)> + Send + 'a,
{
    let start = Listing { items: Vec::new().into_iter(), next: Some(request) };
    stream::try_unfold((start, read), |(mut listing, read)| async move {
        loop {
            // Yield the items of the last page, then read the next one.
            if let Some(item) = listing.items.next() {
                return Ok(Some((item, (listing, read))));
            }
            let Some(request) = listing.next.take() else { return Ok(None) };
            let (request, page) = read(request).await;
            // After an error there is no next page, so the stream ends.
            let Page { items, next } = page?;
            listing.items = items.into_iter();
            listing.next = next.map(|cursor| PageRequest { cursor: Some(cursor), ..request });
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{Consistency, Cursor, Error, Operation, PageLimit};

    /// Three pages of two numbers. The page `fails` is an error.
    async fn read(request: PageRequest, fails: u8) -> (PageRequest, Result<Page<u8>>) {
        let at = request.cursor.as_ref().map_or(0, |cursor| cursor.as_bytes()[0]);
        let next = if at < 2 { Some(Cursor::new([at + 1])) } else { None };
        let page = Page { items: vec![2 * at, 2 * at + 1], next };
        (request, if at == fails { Err(Error::overloaded(Operation::Scan)) } else { Ok(page) })
    }

    #[tokio::test]
    async fn a_listing_is_its_pages_one_after_another() {
        let listed: Vec<_> = pages(PageRequest::default(), |request| read(request, 9))
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(listed, [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn a_listing_ends_after_an_error() {
        let listed: Vec<_> =
            pages(PageRequest::default(), |request| read(request, 1)).collect().await;
        assert!(matches!(listed.as_slice(), [Ok(0), Ok(1), Err(_)]), "{listed:?}");
    }

    #[tokio::test]
    async fn every_page_is_asked_with_the_same_limit_and_consistency() {
        let asked = Mutex::new(Vec::new());
        let first = PageRequest::new(Consistency::Eventual.into()).with_limit(PageLimit::MIN);
        let recorded = |request: PageRequest| {
            asked.lock().unwrap().push(request.clone());
            read(request, 9)
        };
        assert_eq!(pages(first.clone(), recorded).count().await, 6);
        let asked = asked.into_inner().unwrap();
        assert_eq!(asked.len(), 3);
        for request in asked {
            assert_eq!(PageRequest { cursor: None, ..request }, first);
        }
    }
}
