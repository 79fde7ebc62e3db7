//! What a server keeps of what it acknowledges.

use std::sync::Arc;

use redis::{Cmd, Value, cmd};

use crate::wire::client::Network;
use crate::wire::request::{Unit, send};

/// What of an acknowledged write a server has on disk, by its configuration when the store was
/// opened. Of several servers, the least.
///
/// Replicas come on top of it: see the table in the [crate's documentation](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: a restart loses everything.
    Nothing,
    /// It does not say (`CONFIG` is hidden), and has no append-only file.
    Unknown,
    /// Snapshots: a restart loses what is newer than the last one.
    Snapshots,
    /// An append-only file that is written out each second or so; with `appendfsync no` whenever the
    /// system does, half a minute perhaps.
    EverySecond,
    /// An append-only file that is written out before a write is acknowledged.
    Always,
}

/// Asks every primary, and logs a warning about those that keep nothing or may evict RSVPs.
///
/// A server that does not answer this may still do for everything else.
pub(crate) async fn check(network: &Arc<Network>) -> Durability {
    let mut least = Durability::Always;
    for node in &network.topology().nodes {
        let config = |name: &str| cmd("CONFIG").arg("GET").arg(name).to_owned();
        let questions: Vec<Cmd> = vec![
            config("appendonly"),
            config("appendfsync"),
            config("save"),
            config("maxmemory-policy"),
            config("no-appendfsync-on-rewrite"),
            cmd("INFO").arg("persistence").to_owned(),
        ];
        let units: Vec<_> = questions.into_iter().map(|question| Unit::read(0, question)).collect();
        let answers = send(node, &units, false).await;
        let answers: Vec<Option<String>> = answers
            .into_iter()
            .map(|answer| answer.ok().and_then(|answer| setting(answer.values.into_iter().next()?)))
            .collect();
        let [append, fsync, save, policy, lax, info] = answers.as_slice() else { continue };
        let durability = match durability(append, fsync, save, info) {
            // Nothing is written out while the file is rewritten.
            Durability::Always if lax.as_deref() == Some("yes") => Durability::EverySecond,
            durability => durability,
        };
        let address = &node.address;
        if durability == Durability::Nothing {
            tracing::warn!(
                %address,
                "this Redis server keeps nothing: a restart loses every RSVP; set appendonly yes"
            );
        }
        if let Some(policy) = policy.as_deref().filter(|policy| *policy != "noeviction") {
            tracing::warn!(
                %address,
                policy,
                "this Redis server may delete RSVPs when memory is short; set maxmemory-policy noeviction"
            );
        }
        least = least.min(durability);
    }
    least
}

/// The value that `CONFIG GET` has for a name, or a text.
fn setting(value: Value) -> Option<String> {
    let value = match value {
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        Value::Array(pair) => pair.into_iter().nth(1)?,
        value => value,
    };
    redis::from_redis_value(value).ok()
}

fn durability(
    append: &Option<String>,
    fsync: &Option<String>,
    save: &Option<String>,
    info: &Option<String>,
) -> Durability {
    let has_file = info
        .as_ref()
        .is_some_and(|info| info.lines().any(|line| line.trim_end() == "aof_enabled:1"));
    match (append.as_deref(), fsync.as_deref(), save.as_deref()) {
        (Some("yes"), Some("always"), _) => Durability::Always,
        // Without fsync it is up to the system, which takes longer.
        (Some("yes"), ..) => Durability::EverySecond,
        (Some(_), _, Some("")) => Durability::Nothing,
        (Some(_), _, Some(_)) => Durability::Snapshots,
        _ if has_file => Durability::EverySecond,
        _ => Durability::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_keeps_follows_from_its_settings() {
        for (append, fsync, save, info, expected) in [
            ("yes", "always", "", "", Durability::Always),
            ("yes", "everysec", "", "", Durability::EverySecond),
            ("yes", "no", "3600 1", "", Durability::EverySecond),
            ("no", "always", "3600 1", "", Durability::Snapshots),
            ("no", "always", "", "", Durability::Nothing),
            ("-", "-", "-", "a:1\r\naof_enabled:1\r\n", Durability::EverySecond),
            ("-", "-", "-", "aof_enabled:0\r\n", Durability::Unknown),
        ] {
            let [append, fsync, save] =
                [append, fsync, save].map(|text| (text != "-").then(|| text.to_owned()));
            assert_eq!(durability(&append, &fsync, &save, &Some(info.to_owned())), expected);
        }
    }
}
