//! Operates an RSVP store.
//!
//! ```text
//! RSVP_STORE=postgres://app:secret@db1/tickets rsvpctl audit --json
//! rsvpctl --store-file /run/secrets/store erase-user alice
//! ```
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | success, an audit without differences, or a ready store |
//! | 1 | an audit with differences, or a store that is not ready |
//! | 2 | a wrong argument, or a command without meaning for this store |
//! | 3 | a failure of the store (stderr tells whether to repeat the command) |

mod commands;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rsvp::{Error, EventId, RsvpStore, UserId};

use crate::commands::Failure;
use crate::output::Output;

/// Operates an RSVP store.
///
/// The exit code is 0 for success, 1 for differences or a store that is not ready,
/// 2 for a wrong argument, and 3 for a failure of the store.
#[derive(Debug, Parser)]
#[command(name = "rsvpctl")]
struct Arguments {
    /// The URL of the store, as for `rsvp::open`. Arguments are visible in the list of processes.
    /// For a URL with a password, use the environment variable or `--store-file`.
    #[arg(long, global = true, env = "RSVP_STORE", hide_env_values = true)]
    store: Option<String>,
    /// A file with the URL of the store. It takes precedence over `--store` and `RSVP_STORE`.
    #[arg(long, global = true, value_name = "PATH")]
    store_file: Option<PathBuf>,
    /// Print JSON, one object in each line.
    #[arg(long, global = true)]
    json: bool,
    /// The longest time of a step of a removal, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells for each part of the store whether it would accept a write now.
    Ping,
    /// Compares derived data, such as counts, with the RSVPs. Changes nothing.
    Audit,
    /// Compares as `audit` does, and repairs every difference.
    Repair,
    /// Copies the file of a SQLite store to a new file.
    /// A service may have the store open meanwhile.
    Backup {
        /// The path of the new file.
        to: PathBuf,
    },
    /// Prints the SQL for the tables of a Postgres store. An administrator can run it.
    Schema,
    /// Removes every RSVP of a user. Repeat the command after a failure.
    EraseUser {
        /// The id of the user.
        user: UserId,
    },
    /// Removes every RSVP of an event. Repeat the command after a failure.
    EraseEvent {
        /// The id of the event.
        event: EventId,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            output.failure(failure.as_ref());
            let wrong = matches!(failure.downcast_ref(), Some(Error::InvalidInput { .. }));
            ExitCode::from(if wrong { 2 } else { 3 })
        }
    }
}

/// Runs the command. Returns false for differences, and for a store that is not ready.
async fn run(arguments: Arguments, output: &Output) -> Result<bool, Failure> {
    let Arguments { store, store_file, timeout, command, .. } = arguments;
    let url = match (store, store_file) {
        (_, Some(path)) => std::fs::read_to_string(&path).map_err(|error| {
            let reason = format!("cannot be read from {}: {error}", path.display());
            Error::invalid_input("store-file", reason)
        })?,
        (Some(url), None) => url,
        (None, None) => {
            let reason = "is missing: set RSVP_STORE, --store or --store-file";
            return Err(Error::invalid_input("store", reason).into());
        }
    };
    let timeout = Duration::from_secs(timeout);
    match command {
        // These commands open no store. A service may have it open, and a SQLite file has one owner.
        Command::Schema => commands::schema(&url, output),
        Command::Backup { to } => commands::backup(&url, &to, output).await,
        Command::Ping => {
            with_store(&url, output, async |store| commands::ping(store, output).await).await
        }
        Command::Audit => {
            with_store(&url, output, async |store| commands::audit(store, false, output).await)
                .await
        }
        Command::Repair => {
            with_store(&url, output, async |store| commands::audit(store, true, output).await).await
        }
        Command::EraseUser { user } => {
            let erase = async |store: &dyn RsvpStore| {
                let step =
                    async |limit, options| store.remove_user_step(&user, limit, &options).await;
                commands::erase(step, timeout, output).await
            };
            with_store(&url, output, erase).await
        }
        Command::EraseEvent { event } => {
            let erase = async |store: &dyn RsvpStore| {
                let step =
                    async |limit, options| store.remove_event_step(&event, limit, &options).await;
                commands::erase(step, timeout, output).await
            };
            with_store(&url, output, erase).await
        }
    }
}

/// Opens the store, runs a command on it, and closes it.
async fn with_store(
    url: &str,
    output: &Output,
    command: impl AsyncFnOnce(&dyn RsvpStore) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let store = rsvp::open(url).await?;
    let done = command(&*store).await;
    let closed = store.close().await;
    // The result of the command comes first. A failed close changes nothing in its effect.
    let done = done?;
    if let Err(error) = closed {
        output.progress(&format!("the store was not closed in order: {error}"));
    }
    Ok(done)
}
