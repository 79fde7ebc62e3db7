//! Fills a store step by step and measures it at each size.
//!
//! ```text
//! cargo run --release --example scale -- --store memory: --sizes 1M,10M --svg growth.svg
//! cargo run --release --example scale --features sqlite -- --store sqlite:/var/tmp/scale.db --sizes 1M,10M,100M
//! ```
//!
//! The store must be empty. RSVPs have ids of 13 bytes, a user has five of them, an event a hundred. It ends
//! before the memory of the machine does: `--until-memory` is what must stay free.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rsvp_load::scale::{Growth, Step, free_memory};
use rsvp_load::{Failure, redacted, report};

/// Fills a store step by step and measures it at each size.
#[derive(Debug, Parser)]
#[command(name = "scale")]
struct Flags {
    /// The URL of an empty store.
    #[arg(long, default_value = "memory:")]
    store: String,
    /// The sizes in RSVPs, such as 1M,10M,100M.
    #[arg(long, value_delimiter = ',', value_parser = number, default_value = "100k,1M")]
    sizes: Vec<u64>,
    /// How many callers make single calls.
    #[arg(long, default_value_t = 256)]
    callers: usize,
    /// How many seconds each kind of call is measured.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How many MiB of the machine's memory must stay free, or the program ends.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    until_memory: u64,
    /// Where to write the steps as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to draw the rates by size.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<(), Failure> {
    let time = Duration::from_secs(flags.seconds);
    let growth = Growth::new(&flags.store, flags.callers.max(1), time).await?;
    println!("RSVPs | batches/s | has_rsvped/s | p95 | rsvp/s | p95 | bytes each");
    let mut steps: Vec<Step> = Vec::new();
    for size in &flags.sizes {
        if free_memory().is_some_and(|free| free >> 20 < flags.until_memory) {
            eprintln!(
                "ends before {size}: less than {} MiB of memory are free",
                flags.until_memory
            );
            break;
        }
        let step = growth.grow(*size).await?;
        let bytes = step.bytes_each.map_or("unknown".to_owned(), |bytes| format!("{bytes:.1}"));
        println!(
            "{} | {:.0} | {:.0} | {:.1} µs | {:.0} | {:.1} µs | {bytes}",
            step.rsvps,
            step.filled_per_second,
            step.has_rsvped.per_second,
            step.has_rsvped.p95_us,
            step.rsvp.per_second,
            step.rsvp.p95_us,
        );
        steps.push(step);
    }
    growth.close().await?;
    let store = redacted(&flags.store);
    if let Some(path) = &flags.json {
        let object = serde_json::json!({"store": store, "callers": flags.callers, "steps": steps});
        std::fs::write(path, format!("{object:#}\n"))?;
    }
    if let Some(path) = &flags.svg {
        std::fs::write(path, report::growth(&store, &steps))?;
    }
    Ok(())
}

/// A number such as 250, 100k, 10M or 1G.
fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last() {
        Some('k') => (text.trim_end_matches('k'), 1_000),
        Some('M') => (text.trim_end_matches('M'), 1_000_000),
        Some('G') => (text.trim_end_matches('G'), 1_000_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| "is not a number such as 100k or 10M".to_owned())
}
