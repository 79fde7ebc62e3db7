//! A load generator: latency under load, service levels, and a report.
//!
//! ```text
//! cargo run --release --example load -- --store memory: --scenario ticket-drop --rate 5000 --report report.html
//! cargo run --release --example load --features redis -- --store redis://localhost --compare by-hand
//! cargo run --release --example load -- --url http://127.0.0.1:8080 --check --operations 1000000
//! ```
//!
//! `--check` compares every answer of a running service with a model, and exits 1 if any differs.
//! `README.md` beside this example has the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod check;
mod flags;
mod print;
mod progress;
mod run;

use std::process::ExitCode;

use clap::Parser;

use self::flags::Flags;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = if flags.check { check::run(&flags).await } else { run::run(&flags).await };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
