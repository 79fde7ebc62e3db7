//! Durability, the share of acknowledged writes on the disks of the servers.

use redis::{Cmd, Value, cmd};
use rsvp_core::Operation;

use crate::wire::call_deadline::Call;
use crate::wire::node::Node;
use crate::wire::request::Request;
use crate::wire::topology::Topology;

/// The share of acknowledged writes on the disk of a server, by its configuration when the store
/// was opened. Of several servers, the least.
///
/// Replicas come on top of it, as the table in the [crate's documentation](crate#durability) shows.
///
/// ```
/// use rsvp_redis::Durability;
///
/// assert!(Durability::Nothing < Durability::Snapshots);
/// assert!(Durability::EverySecond < Durability::Always);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing is on disk. A restart loses everything.
    Nothing,
    /// `CONFIG` is hidden, and there is no append-only file.
    Unknown,
    /// Snapshots. A restart loses every write since the last one.
    Snapshots,
    /// An append-only file, synced about every second. With `appendfsync no` the system decides
    /// when, up to half a minute later.
    EverySecond,
    /// An append-only file, synced before a write is acknowledged.
    Always,
}

/// Asks every primary, and logs a warning for each one without persistence or with eviction.
///
/// A server without a reply is left out, since it may still serve everything else.
pub(crate) async fn check(topology: &Topology<Node>) -> Durability {
    let mut least = Durability::Always;
    for node in &topology.nodes {
        if let Some(settings) = Settings::of(node).await {
            settings.warn(&node.address);
            least = least.min(settings.durability());
        }
    }
    least
}

/// The settings behind the durability of a server. `None` for hidden ones.
#[derive(Debug, Default)]
struct Settings {
    appendonly: Option<String>,
    appendfsync: Option<String>,
    save: Option<String>,
    maxmemory_policy: Option<String>,
    no_appendfsync_on_rewrite: Option<String>,
    /// The section `persistence` of `INFO`.
    info: Option<String>,
}

impl Settings {
    async fn of(node: &Node) -> Option<Self> {
        let config = |name: &str| cmd("CONFIG").arg("GET").arg(name).to_owned();
        let commands: [Cmd; 6] = [
            config("appendonly"),
            config("appendfsync"),
            config("save"),
            config("maxmemory-policy"),
            config("no-appendfsync-on-rewrite"),
            cmd("INFO").arg("persistence").to_owned(),
        ];
        let requests = commands.map(|command| Request::read(0, command));
        let answers =
            node.send(Call::unbounded(Operation::Open), &requests, false).await.into_iter();
        let settings: Vec<Option<String>> = answers
            .map(|answer| answer.ok().and_then(|answer| setting(answer.into_value()?)))
            .collect();
        let settings: [_; 6] = settings.try_into().ok()?;
        let [appendonly, appendfsync, save, maxmemory_policy, no_appendfsync_on_rewrite, info] =
            settings;
        Some(Self {
            appendonly,
            appendfsync,
            save,
            maxmemory_policy,
            no_appendfsync_on_rewrite,
            info,
        })
    }

    fn warn(&self, address: &str) {
        if self.durability() == Durability::Nothing {
            tracing::warn!(
                %address,
                "this Redis server keeps nothing: a restart loses every RSVP; set appendonly yes"
            );
        }
        let policy = self.maxmemory_policy.as_deref();
        if let Some(policy) = policy.filter(|policy| *policy != "noeviction") {
            tracing::warn!(
                %address,
                policy,
                "this Redis server may delete RSVPs when memory is short; set maxmemory-policy noeviction"
            );
        }
    }

    fn durability(&self) -> Durability {
        let has_file = self
            .info
            .as_ref()
            .is_some_and(|info| info.lines().any(|line| line.trim_end() == "aof_enabled:1"));
        let unsynced_rewrite = self.no_appendfsync_on_rewrite.as_deref() == Some("yes");
        match (self.appendonly.as_deref(), self.appendfsync.as_deref(), self.save.as_deref()) {
            // Nothing is synced while the file is rewritten.
            (Some("yes"), Some("always"), _) if unsynced_rewrite => Durability::EverySecond,
            (Some("yes"), Some("always"), _) => Durability::Always,
            // Without fsync it is up to the system, which takes longer.
            (Some("yes"), ..) => Durability::EverySecond,
            (Some(_), _, Some("")) => Durability::Nothing,
            (Some(_), _, Some(_)) => Durability::Snapshots,
            _ if has_file => Durability::EverySecond,
            _ => Durability::Unknown,
        }
    }
}

/// The value in a reply to `CONFIG GET`, or the text of another reply.
fn setting(value: Value) -> Option<String> {
    let value = match value {
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        Value::Array(pair) => pair.into_iter().nth(1)?,
        value => value,
    };
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_follows_from_the_settings() {
        for (append, fsync, save, info, expected) in [
            ("yes", "always", "", "", Durability::Always),
            ("yes", "everysec", "", "", Durability::EverySecond),
            ("yes", "no", "3600 1", "", Durability::EverySecond),
            ("no", "always", "3600 1", "", Durability::Snapshots),
            ("no", "always", "", "", Durability::Nothing),
            ("-", "-", "-", "a:1\r\naof_enabled:1\r\n", Durability::EverySecond),
            ("-", "-", "-", "aof_enabled:0\r\n", Durability::Unknown),
        ] {
            let [appendonly, appendfsync, save] =
                [append, fsync, save].map(|text| (text != "-").then(|| text.to_owned()));
            let info = Some(info.to_owned());
            let settings = Settings { appendonly, appendfsync, save, info, ..Settings::default() };
            assert_eq!(settings.durability(), expected, "{settings:?}");
        }
    }
}
