//! The durability of an acknowledged write.

/// The durability of an acknowledged write.
/// It follows from the server's settings when the store was opened.
///
/// Only standbys in `synchronous_standby_names` count.
/// The promotion of another standby may lose the last writes.
///
/// ```
/// use rsvp_postgres::Durability;
///
/// // The order is from the least durable to the most durable.
/// assert!(Durability::Process < Durability::Disk);
/// assert!(Durability::Disk < Durability::Standby);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// It survives `kill -9`. A loss of power may damage the whole database,
    /// because `fsync` or `full_page_writes` is off.
    Process,
    /// The writes of the last fraction of a second survive neither `kill -9` nor a loss of power,
    /// because `synchronous_commit` is off.
    Delayed,
    /// It survives `kill -9` and a loss of power.
    Disk,
    /// It also survives the loss of the primary, if a synchronous standby is promoted.
    Standby,
}

/// The settings of a server that decide the durability.
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
        // From the weakest guarantee to the strongest, because the weakest setting decides.
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

    /// Logs a warning if a crash of the server may lose an acknowledged write.
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
