//! Durability: what an acknowledged write survives.

/// What an acknowledged write survives, by the server's settings when the store was opened.
///
/// Standbys without `synchronous_standby_names` do not count: what they lack when they are promoted is
/// lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// `kill -9`, but not the loss of power, which may damage all of the database: `fsync` or
    /// `full_page_writes` is off.
    Process,
    /// Neither for the last fraction of a second: `synchronous_commit` is off.
    Delayed,
    /// `kill -9` and the loss of power.
    Disk,
    /// The loss of the primary as well, if a synchronous standby is promoted.
    Standby,
}

/// The settings of a server that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) fsync: bool,
    pub(super) full_page_writes: bool,
    pub(super) synchronous_commit: String,
    pub(super) synchronous_standby_names: String,
}

impl Settings {
    pub(super) fn durability(&self) -> Durability {
        let commit = self.synchronous_commit.as_str();
        if !self.fsync || !self.full_page_writes {
            Durability::Process
        } else if commit == "off" {
            Durability::Delayed
        } else if commit == "local" || self.synchronous_standby_names.is_empty() {
            Durability::Disk
        } else {
            Durability::Standby
        }
    }

    /// Logs a warning if an acknowledged write may be lost with the server's process or its power.
    pub(super) fn warn(&self) {
        match self.durability() {
            Durability::Process => tracing::warn!(
                "this Postgres server does not survive the loss of power; set fsync and \
                 full_page_writes on"
            ),
            Durability::Delayed => tracing::warn!(
                "this Postgres server loses the last acknowledged writes when it crashes; set \
                 synchronous_commit on"
            ),
            Durability::Disk | Durability::Standby => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_follows_from_the_settings() {
        for (fsync, full_page_writes, commit, standbys, expected) in [
            (true, true, "on", "", Durability::Disk),
            (true, true, "on", "a", Durability::Standby),
            (true, true, "remote_apply", "ANY 1 (a, b)", Durability::Standby),
            (true, true, "local", "a", Durability::Disk),
            (true, true, "off", "a", Durability::Delayed),
            (false, true, "on", "a", Durability::Process),
            (true, false, "on", "", Durability::Process),
        ] {
            let (synchronous_commit, synchronous_standby_names) = (commit.into(), standbys.into());
            let settings =
                Settings { fsync, full_page_writes, synchronous_commit, synchronous_standby_names };
            assert_eq!(settings.durability(), expected, "{settings:?}");
        }
    }
}
