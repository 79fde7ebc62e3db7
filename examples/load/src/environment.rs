//! The machine and the program that measured.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::source::redacted;

/// The machine and the program that measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The command, without passwords.
    pub command: String,
    /// The time at the end, in UTC.
    pub time: String,
    /// The processor.
    pub processor: String,
    /// The number of processors that the program may use.
    pub processors: usize,
    /// The memory of the machine in MiB.
    pub memory_mib: u64,
    /// The operating system.
    pub system: String,
    /// The servers of the stores, with the settings that decide the cost of a write.
    pub servers: Vec<String>,
    /// The version of the project, and whether it was compiled with optimisations.
    pub version: String,
}

impl Environment {
    /// The machine that this program runs on, and its command line.
    #[must_use]
    pub fn here(arguments: impl IntoIterator<Item = String>) -> Self {
        let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
        Self {
            command: command(arguments),
            time: now(),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: bytes("/proc/meminfo", "MemTotal").unwrap_or_default() >> 20,
            system: system(),
            servers: Vec::new(),
            version: format!("rsvp {}, {build}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Adds the servers of the stores.
    #[must_use]
    pub fn with_servers(self, servers: Vec<String>) -> Self {
        Self { servers, ..self }
    }

    /// Each line of the report's foot: a name and a value.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { processor, processors, memory_mib, .. } = self;
        let machine = format!("{processor}, {processors} processors, {memory_mib} MiB of memory");
        let mut lines = vec![
            ("command", self.command.clone()),
            ("time", self.time.clone()),
            ("machine", machine),
            ("system", self.system.clone()),
        ];
        lines.extend(self.servers.iter().map(|server| ("server", server.clone())));
        lines.push(("version", self.version.clone()));
        lines
    }
}

/// The command line with redacted URLs, quoted where a shell needs it.
fn command(arguments: impl IntoIterator<Item = String>) -> String {
    let shown = arguments.into_iter().skip(1).map(|argument| {
        let argument = redacted(&argument);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
        if argument.chars().all(plain) { argument } else { format!("'{argument}'") }
    });
    let shown: Vec<_> = shown.collect();
    let features = [
        ("postgres", cfg!(feature = "postgres")),
        ("redis", cfg!(feature = "redis")),
        ("sqlite", cfg!(feature = "sqlite")),
    ];
    let features: Vec<_> =
        features.iter().filter(|(_, on)| *on).map(|(feature, _)| *feature).collect();
    let features = match features.is_empty() {
        true => String::new(),
        false => format!(" --features {}", features.join(",")),
    };
    format!("cargo run --release --example load{features} -- {}", shown.join(" "))
}

#[expect(clippy::disallowed_methods, reason = "a report says when it was made")]
fn now() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(time / 86_400);
    let (hour, minute) = (time / 3_600 % 24, time / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The date of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The first value of a field in a file of the kernel.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// A number of bytes that a file of the kernel gives in KiB.
pub(crate) fn bytes(path: &str, name: &str) -> Option<u64> {
    let kibibytes = field(path, name)?.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(kibibytes * 1_024)
}

fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{name}, kernel {}, {}", kernel.trim(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_date() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_454), (2026, 1, 1));
    }

    #[test]
    fn the_command_can_be_pasted_and_has_no_password() {
        let words = ["load", "--store", "postgres://a:hunter2@h/d?x=1&y=2", "--seconds", "3"];
        let shown = command(words.map(str::to_owned));
        let expected = "--store 'postgres://a:***@h/d?x=1&y=2' --seconds 3";
        assert!(shown.ends_with(expected), "{shown}");
    }
}
