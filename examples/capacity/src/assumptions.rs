//! Every number that nobody has measured, with a low and a high case.

use serde::Serialize;

use crate::parse_quantity;

/// Which value of each [`Range`] is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// The one that needs the least.
    Low,
    /// The one to plan with.
    #[default]
    Expected,
    /// The one that needs the most.
    High,
}

impl Case {
    /// All cases, from the one that needs the least.
    pub const ALL: [Self; 3] = [Self::Low, Self::Expected, Self::High];
}

/// An assumed number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Range {
    /// In the low case.
    pub low: f64,
    /// In the expected case.
    pub expected: f64,
    /// In the high case.
    pub high: f64,
}

impl Range {
    /// The number of a case.
    #[must_use]
    pub fn of(&self, case: Case) -> f64 {
        match case {
            Case::Low => self.low,
            Case::Expected => self.expected,
            Case::High => self.high,
        }
    }
}

/// One assumption, as it is printed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) range: Range,
    pub(crate) unit: &'static str,
    pub(crate) meaning: &'static str,
}

macro_rules! assumptions {
    ($($name:ident: $low:literal, $expected:literal, $high:literal, $unit:literal, $meaning:literal;)*) => {
        /// The assumptions.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[non_exhaustive]
        pub struct Assumptions {
            $(#[doc = $meaning] pub $name: Range,)*
        }

        impl Default for Assumptions {
            fn default() -> Self {
                Self { $($name: Range { low: $low as f64, expected: $expected as f64, high: $high as f64 },)* }
            }
        }

        impl Assumptions {
            pub(crate) fn rows(&self) -> Vec<Row> {
                vec![$(Row { name: stringify!($name), range: self.$name, unit: $unit, meaning: $meaning },)*]
            }

            fn find(&mut self, name: &str) -> Option<&mut Range> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

assumptions! {
    rsvps_factor: 0.3, 1, 3, "×", "the RSVPs of a user, as a multiple of the number given";
    peak_factor: 0.5, 1, 2, "×", "the peak, as a multiple of the number given";
    hottest_factor: 0.25, 1, 2.5, "×", "the writes to the hottest event, as a multiple of the number given";
    writes_per_rsvp: 1.1, 1.3, 2, "writes", "for each stored RSVP, cancels and repetitions included";
    days_of_rsvps: 730, 365, 90, "days", "in which the stored RSVPs were made";
    daily_users: 0.05, 0.1, 0.2, "of all users", "that open the service on a day";
    pages_a_day: 2, 5, 10, "pages", "of an event that such a user opens, each with one `has_rsvped` and one `rsvp_count`";
    lists_a_day: 0.2, 0.5, 1, "lists", "of the own events that such a user opens";
    pages_per_hot_write: 1, 3, 5, "pages", "of the hottest event for each write to it";
    list_cost: 3, 5, 10, "questions", "that a page of a list costs a server";
    host_factor: 2, 4, 6, "×", "the measured cost of a request, with TLS, authentication and the rest of a host";
    utilisation: 0.7, 0.5, 0.4, "of a processor", "that is planned for";
    round_trip: 0.0005, 0.001, 0.002, "seconds", "between the service and a server in another zone";
    commit: 0.001, 0.004, 0.01, "seconds", "of a commit to a managed disk";
    memory_overhead: 1.1, 1.25, 2, "×", "memory of the data, for growth, fragmentation and copies on write";
    disk_overhead: 1.1, 1.4, 2, "×", "disk of the data, for dead rows, logs and growth";
    hot_data: 0.1, 0.25, 1, "of the data", "that is kept in memory by a server with a disk";
    disk_limit: 1e12, 5e11, 2e11, "bytes", "of data on one server, which bound its restore";
    memory_limit: 5e10, 2.5e10, 1e10, "bytes", "of data on one primary of Redis, which bound its snapshot and its resynchronisation";
    cluster_writes: 1.5, 2, 3, "×", "the server's work for a write in a cluster, where the user index is synced after the event";
    copies_kept: 2, 4, 15, "copies", "of the data in object storage, logs included";
    detection: 10, 30, 120, "seconds", "until somebody or something promotes a standby";
    decision: 300, 900, 3600, "seconds", "until somebody decides to restore";
    copy_rate: 5e8, 2e8, 5e7, "bytes a second", "from object storage to a disk";
}

impl Assumptions {
    /// The same with one of them at the end of a case.
    pub(crate) fn with(mut self, name: &str, case: Case) -> Self {
        if let Some(range) = self.find(name) {
            let number = range.of(case);
            *range = Range { low: number, expected: number, high: number };
        }
        self
    }

    /// Sets a number in all cases: `name=value`.
    ///
    /// # Errors
    ///
    /// A sentence for people if there is no such assumption or the value is not a number above 0.
    pub fn set(&mut self, setting: &str) -> Result<(), String> {
        let names = || self.rows().iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        let malformed = format!("`{setting}` is not of the form NAME=NUMBER; names: {}", names());
        let (name, value) = setting.split_once('=').ok_or(malformed)?;
        let value = parse_quantity(value).map_err(|error| format!("{name}: {error}"))?;
        let share = matches!(name, "daily_users" | "utilisation" | "hot_data");
        if share && value > 1.0 {
            return Err(format!("{name}: `{value}` is a share, so it must be at most 1"));
        }
        let unknown = format!("there is no assumption `{name}`; names: {}", names());
        *self.find(name).ok_or(unknown)? = Range { low: value, expected: value, high: value };
        Ok(())
    }
}
