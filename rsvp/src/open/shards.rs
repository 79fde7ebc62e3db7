//! Several stores by name in one text.

use rsvp_core::{Error, Result};

use super::layers::{Layers, once};

/// `NAME=URL NAME*WEIGHT=URL … ?spread=N&…`
#[derive(Debug)]
pub(super) struct Shards<'a> {
    pub(super) shards: Vec<NamedUrl<'a>>,
    pub(super) spread: usize,
    /// What goes around each of them that does not say otherwise.
    pub(super) each: Layers,
    /// What goes around all of them as one.
    pub(super) layers: Layers,
}

/// The URL of one shard. Not printed: it may hold a password.
pub(super) struct NamedUrl<'a> {
    pub(super) name: &'a str,
    pub(super) weight: f64,
    pub(super) url: &'a str,
}

impl std::fmt::Debug for NamedUrl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedUrl").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Shards<'a> {
    /// Nothing if the text is a single URL.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>> {
        if text.split_ascii_whitespace().count() < 2 && NamedUrl::parse(text).is_none() {
            return Ok(None);
        }
        let (mut shards, mut spread, mut layers) = (Vec::new(), None, Layers::default());
        for part in text.split_ascii_whitespace() {
            let Some(query) = part.strip_prefix('?') else {
                let unnamed = || {
                    let reason = "has a part that is neither NAME=URL, as with several stores \
                                  each must be, nor ?PARAMETERS for all of them";
                    Error::invalid_input("url", reason)
                };
                shards.push(NamedUrl::parse(part).ok_or_else(unnamed)??);
                continue;
            };
            for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                if name == "spread" {
                    let no_number = |_| Error::invalid_input("spread", "is not a number");
                    once("spread", &mut spread, value.parse().map_err(no_number)?)?;
                } else if !layers.take(name, value)? {
                    return Err(Error::invalid_input("url", UNKNOWN));
                }
            }
        }
        let (each, layers) = layers.check()?.divide();
        Ok(Some(Self { shards, spread: spread.unwrap_or(1), each, layers }))
    }
}

const UNKNOWN: &str = "has a parameter of all stores that is unknown; known are spread, observe, \
                       timeout, retry, limit, coalesce, count_cache and stale_if_error";

impl<'a> NamedUrl<'a> {
    /// Nothing if there is no name in front of the URL.
    fn parse(part: &'a str) -> Option<Result<Self>> {
        let (name, url) = part.split_once('=')?;
        let (name, weight) = match name.split_once('*') {
            Some((name, weight)) => (name, Some(weight)),
            None => (name, None),
        };
        // A URL has a colon before its first `=`, and no name has one.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || !name.bytes().all(legal) {
            return None;
        }
        let weight = weight.map_or(Ok(1.0), str::parse);
        let no_number = |_| Error::invalid_input("weight", "is not a number");
        Some(weight.map_err(no_number).map(|weight| Self { name, weight, url }))
    }
}
