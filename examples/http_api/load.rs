//! Random load on a running `http_api`, every answer compared with a model.
//!
//! ```text
//! cargo run --release --example http_api
//! cargo run --release --example load -- --url http://127.0.0.1:8080 --operations 1000000
//! ```
//!
//! Prints throughput, latencies and the number of differences, and exits 1 if there is any.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;

use clap::Parser;

use rsvp_http_api::check::{Failure, Plan, Report};

/// Random load on a running `http_api`, every answer compared with a model.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Flags {
    /// Where the service is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: hyper::Uri,
    /// How many operations to do in all; reading a whole list is one.
    #[arg(long, default_value_t = 100_000)]
    operations: usize,
    /// How many connections to do them on.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How many users there are.
    #[arg(long, default_value_t = 1000)]
    users: usize,
    /// How many events there are.
    #[arg(long, default_value_t = 100)]
    events: usize,
    /// The seed of every random choice. Defaults to a random one.
    #[arg(long)]
    seed: Option<u64>,
    /// The beginning of all ids, new to the store. Defaults to a random one.
    #[arg(long)]
    prefix: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(report) => {
            println!("{report}");
            if report.differences() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<Report, Failure> {
    let plan = Plan {
        address: flags.url.authority().ok_or("--url has no host")?.to_string(),
        operations: flags.operations,
        connections: flags.connections,
        users: flags.users,
        events: flags.events,
        seed: flags.seed.unwrap_or_else(any_number),
        prefix: flags.prefix.unwrap_or_else(|| format!("load-{:016x}", any_number())),
    };
    println!("--seed {} --prefix {}", plan.seed, plan.prefix);
    plan.run().await
}

/// The standard library seeds its hashers from the system.
fn any_number() -> u64 {
    RandomState::new().hash_one(())
}
