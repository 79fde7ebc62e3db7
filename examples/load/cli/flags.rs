//! The command line.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rsvp_load::{Plan, Scenario, Source};

/// The rate from which the highest one is looked for.
const FIRST_RATE: f64 = 1_000.0;

/// Puts a load on stores or on a running service, and measures latency, throughput and staleness.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Flags {
    /// A store, as for `rsvp::open`, perhaps with a name. May be repeated. Defaults to `memory:`.
    #[arg(long, value_name = "[NAME=]URL", conflicts_with = "url")]
    pub(crate) store: Vec<Source>,
    /// A running service to drive instead of a store.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The mix of calls: steady, hot, ticket-drop, reads, counts or lists.
    #[arg(long, default_value = "steady")]
    pub(crate) scenario: Scenario,
    /// The number of calls at once at most. Defaults to 64, and to 1024 with `--rate`.
    #[arg(long, value_name = "N")]
    pub(crate) callers: Option<usize>,
    /// How long calls are made on each store.
    #[arg(long, value_name = "T", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Calls a second, whatever the store does: an open loop. That of `ticket-drop` is the rate of its
    /// quiet phases; its burst has ten times as many.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Looks for the highest rate at which the service levels are met, from `--rate` or 1000 on. Each
    /// rate is tried for `--seconds`.
    #[arg(long)]
    pub(crate) find_max: bool,
    /// Alternates each store with the code that a developer would write first on the same server.
    #[arg(long, value_name = "WAY", conflicts_with = "url")]
    pub(crate) compare: Option<Compare>,
    /// Writes the measurements as JSON: an object, or an array if there are several stores.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a report, an HTML file that needs no other one.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The JSON of an earlier run to compare this one with.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Exits 1 if throughput or a 99th percentile is worse than in the baseline by more than this.
    #[arg(long, value_name = "PERCENT", requires = "baseline", value_parser = percent)]
    pub(crate) fail_on_regression: Option<f64>,
    /// The seed of every random choice. Defaults to a random one.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many users there are. Defaults to 200000, and to 1000 with `--check`.
    #[arg(long, value_name = "N")]
    pub(crate) users: Option<usize>,
    /// How many events there are. Defaults to 1000, and to 100 with `--check`.
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<usize>,

    /// Compares every answer of the service at `--url` with a model, instead of measuring.
    #[arg(long, help_heading = "Model check")]
    pub(crate) check: bool,
    /// How many operations to do in all; reading a whole list is one.
    #[arg(long, default_value_t = 100_000, help_heading = "Model check", requires = "check")]
    pub(crate) operations: usize,
    /// How many connections to do them on.
    #[arg(long, default_value_t = 16, help_heading = "Model check", requires = "check")]
    pub(crate) connections: usize,
    /// The beginning of all ids, new to the store. Defaults to a random one.
    #[arg(long, help_heading = "Model check", requires = "check")]
    pub(crate) prefix: Option<String>,
}

/// What a store is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compare {
    /// The code that a good developer writes first.
    ByHand,
}

impl Flags {
    /// The plan of one run.
    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let rate = self.rate.or(self.find_max.then_some(FIRST_RATE));
        let plan = Plan::new(self.scenario, self.seconds).with_rate(rate).with_seed(seed);
        let plan = match self.callers {
            Some(callers) => plan.with_callers(callers),
            None => plan,
        };
        let (users, events) =
            (self.users.unwrap_or(plan.users), self.events.unwrap_or(plan.events));
        Plan { users, events: events.max(1), ..plan }
    }
}

/// The standard library seeds its hashers from the system.
pub(crate) fn any_number() -> u64 {
    RandomState::new().hash_one(())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = positive(text.trim_end_matches('s'))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    positive(text)
}

/// A share of one.
fn percent(text: &str) -> Result<f64, String> {
    Ok(positive(text.trim_end_matches('%'))? / 100.0)
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    let positive = number.filter(|number| *number > 0.0 && number.is_finite());
    positive.ok_or_else(|| "is not a number above zero".to_owned())
}
