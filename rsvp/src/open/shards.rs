//! Several stores by name in one text.

use rsvp_core::backend::{MAX_NAME_BYTES, check_name};
use rsvp_core::layers::{Layers, Placement};
use rsvp_core::url::Parameters;
use rsvp_core::{Error, ReadyPolicy, Result};

/// `NAME=URL NAME*WEIGHT=URL … ?spread=N&…`, with names, weights and spread that make a placement.
pub(super) struct ShardList<'a> {
    pub(super) shards: Vec<NamedUrl<'a>>,
    pub(super) spread: usize,
    /// How many of the shards must be ready.
    pub(super) ready: ReadyPolicy,
    /// Whether the stores of another placement are taken over.
    pub(super) accepts: bool,
    /// The layers of all shards, before they are divided.
    pub(super) layers: Layers,
}

/// The URL of one shard.
pub(super) struct NamedUrl<'a> {
    pub(super) name: &'a str,
    pub(super) weight: f64,
    pub(super) url: &'a str,
}

impl<'a> ShardList<'a> {
    /// Returns nothing if the text is a single URL.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>> {
        if text.split_ascii_whitespace().count() < 2 && NamedUrl::parse(text.trim()).is_none() {
            return Ok(None);
        }

        // 1. The named URLs, and the parameters of all of them.
        let (mut shards, mut queries) = (Vec::new(), Vec::new());
        for part in text.split_ascii_whitespace() {
            match part.strip_prefix('?') {
                Some(query) => queries.push(query),
                None => shards.push(NamedUrl::parse(part).ok_or_else(unnamed)??),
            }
        }

        // 2. The parameters: those of the placement, then those of layers, and no others.
        let mut parameters = Parameters::parse(&queries.join("&"))?;
        let spread = parameters.take_parsed("spread", "a number")?.unwrap_or(1);
        let ready = parameters.take("ready")?.map(|policy| policy.parse()).transpose()?;
        let ready: ReadyPolicy = ready.unwrap_or_default();
        let accepts = take_accept(&mut parameters)?;
        let layers = Layers::take_from(&mut parameters)?;
        parameters.finish()?;

        // 3. Names, weights and spread together.
        Placement::new(shards.iter().map(|shard| (shard.name, shard.weight)), spread)?;
        Ok(Some(Self { shards, spread, ready, accepts, layers }))
    }
}

impl<'a> NamedUrl<'a> {
    /// Returns nothing if no name precedes the URL.
    fn parse(part: &'a str) -> Option<Result<Self>> {
        let (name, url) = part.split_once('=')?;
        let (name, weight) = match name.split_once('*') {
            Some((name, weight)) => (name, Some(weight)),
            None => (name, None),
        };
        // A URL has a colon before its first `=`, and no name has one. Anything else that is no
        // name may be part of a password, and must not get as far as an error that repeats it.
        // The error for a name that is too long comes later, with those of all names.
        check_name("shard", name.get(..MAX_NAME_BYTES).unwrap_or(name)).ok()?;
        let weight = weight.map_or(Ok(1.0), str::parse);
        let not_a_number = |_| Error::invalid_input("weight", "is not a number");
        Some(weight.map_err(not_a_number).map(|weight| Self { name, weight, url }))
    }
}

/// Whether a placement that differs from the stored one is accepted.
fn take_accept(parameters: &mut Parameters) -> Result<bool> {
    match parameters.take("placement")?.as_deref() {
        None => Ok(false),
        Some("accept") => Ok(true),
        Some(_) => Err(Error::invalid_input("placement", "is not `accept`")),
    }
}

fn unnamed() -> Error {
    let reason = "each of several parts must be NAME=URL, NAME*WEIGHT=URL or ?PARAMETERS; white \
                  space within a URL must be percent-encoded";
    Error::invalid_input("url", reason)
}
