//! A list of shards in one text.

use rsvp_core::backend::{MAX_NAME_BYTES, check_name};
use rsvp_core::layers::{Layers, Placement};
use rsvp_core::url::Parameters;
use rsvp_core::{Error, ReadyPolicy, Result};

/// `NAME=URL NAME*WEIGHT=URL … ?spread=N&…`, with checked names, weights and spread.
pub(super) struct ShardList<'a> {
    pub(super) shards: Vec<NamedUrl<'a>>,
    pub(super) spread: usize,
    /// The part of the shards that must be ready.
    pub(super) ready: ReadyPolicy,
    /// Whether to take over stores of another placement.
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
    /// Parses a list. `None` if the text is a single URL.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>> {
        if text.split_ascii_whitespace().count() < 2 && NamedUrl::parse(text.trim()).is_none() {
            return Ok(None);
        }

        // 1. Separate the named URLs from the parameters of all of them.
        let (mut shards, mut queries) = (Vec::new(), Vec::new());
        for part in text.split_ascii_whitespace() {
            match part.strip_prefix('?') {
                Some(query) => queries.push(query),
                None => shards.push(NamedUrl::parse(part).ok_or_else(unnamed)??),
            }
        }

        // 2. Take the parameters of the placement, then those of layers. There must be no others.
        let mut parameters = Parameters::parse(&queries.join("&"))?;
        let spread = parameters.take_parsed("spread", "a number")?.unwrap_or(1);
        let ready = parameters.take("ready")?.map(|policy| policy.parse()).transpose()?;
        let ready: ReadyPolicy = ready.unwrap_or_default();
        let accepts = take_accept(&mut parameters)?;
        let layers = Layers::take_from(&mut parameters)?;
        parameters.finish()?;

        // 3. Check names, weights and spread together.
        Placement::new(shards.iter().map(|shard| (shard.name, shard.weight)), spread)?;
        Ok(Some(Self { shards, spread, ready, accepts, layers }))
    }
}

impl<'a> NamedUrl<'a> {
    /// Parses a named URL. `None` if the text does not begin with a name.
    fn parse(part: &'a str) -> Option<Result<Self>> {
        let (name, url) = part.split_once('=')?;
        let (name, weight) = match name.split_once('*') {
            Some((name, weight)) => (name, Some(weight)),
            None => (name, None),
        };
        // A URL has a colon before its first `=`, and a name has no colon.
        // Any other text before the `=` may be part of a password,
        // and must not reach an error message. An overlong name passes this check.
        // `Placement::new` refuses it later.
        check_name("shard", name.get(..MAX_NAME_BYTES).unwrap_or(name)).ok()?;
        let weight = weight.map_or(Ok(1.0), str::parse);
        let not_a_number = |_| Error::invalid_input("weight", "is not a number");
        Some(weight.map_err(not_a_number).map(|weight| Self { name, weight, url }))
    }
}

/// Returns whether to accept a placement that differs from the stored one.
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
