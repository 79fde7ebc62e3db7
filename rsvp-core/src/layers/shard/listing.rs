//! Lists over shards, in the order of the shards' hashes.

use futures_util::future::{BoxFuture, join_all};

use super::cursor::ShardCursor;
use super::{Shard, ShardedStore};
use crate::{Cursor, Operation, Page, PageLimit, PageRequest, Result, RsvpStore};

/// A page that one shard is asked for.
type Asked<'a, T> = BoxFuture<'a, Result<Page<T>>>;

impl<S: RsvpStore> ShardedStore<S> {
    /// One shard after another, until the page is full.
    pub(super) async fn list<'a, T>(
        &'a self,
        (operation, subject): (Operation, String),
        shards: Vec<&'a Shard<S>>,
        request: &PageRequest,
        ask: impl Fn(&'a S, PageRequest) -> Asked<'a, T>,
    ) -> Result<Page<T>> {
        let mut items = Vec::new();
        let mut limit = request.limit;
        let mut rest = rest(operation, &subject, shards, request)?.into_iter();
        while let Some((shard, request)) = rest.next() {
            let request = PageRequest { limit, ..request };
            let page = ask(&shard.store, request).await;
            let page = page.map_err(|error| error.in_shard(shard.name.clone()))?;
            let listed = page.items.len();
            items.extend(page.items);
            if page.next.is_some() {
                return Ok(Page {
                    items,
                    next: Some(cursor(operation, &subject, shard, page.next)),
                });
            }
            match less(limit, listed) {
                Some(left) => limit = left,
                None => {
                    let next =
                        rest.next().map(|(shard, _)| cursor(operation, &subject, shard, None));
                    return Ok(Page { items, next });
                }
            }
        }
        Ok(Page::last(items))
    }

    /// All shards at once, for lists that are short: the pages that fit, in order.
    pub(super) async fn list_at_once<'a, T>(
        &'a self,
        (operation, subject): (Operation, String),
        shards: Vec<&'a Shard<S>>,
        request: &PageRequest,
        ask: impl Fn(&'a S, PageRequest) -> Asked<'a, T>,
    ) -> Result<Page<T>> {
        let rest = rest(operation, &subject, shards, request)?;
        let asked: Vec<_> =
            rest.iter().map(|(shard, request)| ask(&shard.store, request.clone())).collect();
        let mut items = Vec::new();
        for ((shard, asked), page) in rest.into_iter().zip(join_all(asked).await) {
            let page = page.map_err(|error| error.in_shard(shard.name.clone()))?;
            if !items.is_empty() && items.len() + page.items.len() > request.limit.get() {
                return Ok(Page {
                    items,
                    next: Some(cursor(operation, &subject, shard, asked.cursor)),
                });
            }
            items.extend(page.items);
            if page.next.is_some() {
                return Ok(Page {
                    items,
                    next: Some(cursor(operation, &subject, shard, page.next)),
                });
            }
        }
        Ok(Page::last(items))
    }
}

/// The shards that are still to be listed, with what each is to be asked.
fn rest<'a, S>(
    operation: Operation,
    subject: &str,
    shards: Vec<&'a Shard<S>>,
    request: &PageRequest,
) -> Result<Vec<(&'a Shard<S>, PageRequest)>> {
    let ShardCursor { shard: first, inner } =
        ShardCursor::parse(operation, subject, request.cursor.as_ref())?;
    let rest: Vec<_> = shards.into_iter().filter(|shard| shard.hash >= first).collect();
    if request.cursor.is_some() && rest.first().is_none_or(|shard| shard.hash != first) {
        return Err(Cursor::refused());
    }
    let asked = |shard: &'a Shard<S>| {
        let cursor = if shard.hash == first { inner.clone() } else { None };
        (shard, PageRequest { cursor, ..request.clone() })
    };
    Ok(rest.into_iter().map(asked).collect())
}

fn cursor<S>(
    operation: Operation,
    subject: &str,
    shard: &Shard<S>,
    inner: Option<Cursor>,
) -> Cursor {
    ShardCursor { shard: shard.hash, inner }.print(operation, subject)
}

/// What is left of a limit.
pub(super) fn less(limit: PageLimit, taken: usize) -> Option<PageLimit> {
    limit.get().checked_sub(taken).and_then(|left| PageLimit::new(left).ok())
}
