//! The capacity that a number of users needs, for each backend.
//!
//! ```text
//! cargo run --example capacity -- --users 100M --rsvps-per-user 10 --events 10M --peak-factor 10 \
//!   --hottest-event-rps 20k
//! ```
//!
//! `docs/scaling.md` tells how each number comes about.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is the purpose of this program"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rsvp_capacity::{
    Assumptions, Backend, Case, Document, MEASURED, Prices, Report, Request, fill, parse_quantity,
    text,
};

/// The capacity that a number of users needs, for each backend: memory, disk, servers, connections, latency, cost.
///
/// Numbers may have the suffixes k, M, G and T.
#[derive(Debug, Parser)]
#[command(name = "capacity")]
struct Arguments {
    /// The number of users.
    #[arg(long, default_value = "100M", value_parser = parse_quantity, allow_negative_numbers = true)]
    users: f64,
    /// The RSVPs of a user that are stored.
    #[arg(long, default_value = "10", value_parser = parse_quantity, allow_negative_numbers = true)]
    rsvps_per_user: f64,
    /// The number of events.
    #[arg(long, default_value = "10M", value_parser = parse_quantity, allow_negative_numbers = true)]
    events: f64,
    /// The calls of the busiest second, as a multiple of those of an average one.
    #[arg(long, default_value = "10", value_parser = parse_quantity, allow_negative_numbers = true)]
    peak_factor: f64,
    /// The writes to the hottest event in its busiest second.
    #[arg(long, default_value = "20k", value_parser = parse_quantity, allow_negative_numbers = true)]
    hottest_event_rps: f64,
    /// One backend instead of all: memory, sqlite, postgres or redis.
    #[arg(long)]
    backend: Option<Backend>,
    /// The case of the plans: low, expected or high.
    #[arg(long, default_value = "expected", value_parser = parse_case)]
    case: Case,
    /// Another assumption, such as `pages_a_day=8`. May be repeated.
    #[arg(long, value_name = "NAME=NUMBER")]
    assume: Vec<String>,
    /// Another price, such as `vcpu=20`. May be repeated.
    #[arg(long, value_name = "NAME=USD")]
    price: Vec<String>,
    /// A file with prices: a JSON object such as `{"vcpu": 20}`.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the measured constants, each with its command, and nothing else.
    #[arg(long)]
    constants: bool,
    /// Put the numbers of the defaults into a document, such as `docs/scaling.md`.
    #[arg(long, value_name = "FILE")]
    fill: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(output) => {
            println!("{output}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<String, String> {
    if arguments.constants {
        return match arguments.json {
            true => serde_json::to_string_pretty(MEASURED).map_err(|error| error.to_string()),
            false => Ok(constants()),
        };
    }
    if let Some(path) = &arguments.fill {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let document = fs::read_to_string(path).map_err(|error| at(&error))?;
        let filled = fill(&document, &Document::new()).map_err(|error| at(&error))?;
        fs::write(path, filled).map_err(|error| at(&error))?;
        return Ok(format!("{} has the numbers of the defaults", path.display()));
    }
    let report = report(&arguments)?;
    match arguments.json {
        true => serde_json::to_string_pretty(&report).map_err(|error| error.to_string()),
        false => Ok(text(&report)),
    }
}

fn report(arguments: &Arguments) -> Result<Report, String> {
    let Arguments { users, rsvps_per_user, events, peak_factor, hottest_event_rps, .. } =
        *arguments;
    let request = Request::new([users, rsvps_per_user, events, peak_factor, hottest_event_rps])?;
    let mut assumptions = Assumptions::default();
    for setting in &arguments.assume {
        assumptions.set(setting).map_err(|error| format!("--assume {error}"))?;
    }
    let prices = prices(arguments.prices.as_deref(), &arguments.price)?;
    let backends = arguments.backend.map_or(Backend::ALL.to_vec(), |backend| vec![backend]);
    Ok(Report::new(request, arguments.case, &backends, (assumptions, prices)))
}

/// The default prices, then those of the file, then those of the arguments.
fn prices(file: Option<&Path>, settings: &[String]) -> Result<Prices, String> {
    let mut prices = Prices::default();
    if let Some(path) = file {
        let at = |error: &dyn std::fmt::Display| format!("--prices {}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| at(&error))?;
        prices.set_json(&text).map_err(|error| at(&error))?;
    }
    for setting in settings {
        prices.set(setting).map_err(|error| format!("--price {error}"))?;
    }
    Ok(prices)
}

fn constants() -> String {
    let line = |constant: &rsvp_capacity::Measured| {
        let rsvp_capacity::Measured { value, unit, meaning, command, source, .. } = constant;
        format!("{value} {unit}: {meaning}\n    {command}\n    {source}")
    };
    MEASURED.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn parse_case(text: &str) -> Result<Case, String> {
    match text {
        "low" => Ok(Case::Low),
        "expected" => Ok(Case::Expected),
        "high" => Ok(Case::High),
        _ => Err("cases: low, expected, high".to_owned()),
    }
}
