//! The model check of a running service.

use rsvp_load::Failure;
use rsvp_load::check::Plan;

use crate::flags::{Flags, any_number};

/// Runs it, and returns whether no answer differs.
pub(crate) async fn run(flags: &Flags) -> Result<bool, Failure> {
    let url = flags.url.as_deref().unwrap_or("http://127.0.0.1:8080");
    let address = url.strip_prefix("http://").ok_or("--url does not begin with http://")?;
    let plan = Plan {
        address: address.trim_end_matches('/').to_owned(),
        operations: flags.operations,
        connections: flags.connections,
        users: flags.users.unwrap_or(1_000),
        events: flags.events.unwrap_or(100),
        seed: flags.seed.unwrap_or_else(any_number),
        prefix: flags.prefix.clone().unwrap_or_else(|| format!("load-{:016x}", any_number())),
    };
    println!("--seed {} --prefix {}", plan.seed, plan.prefix);
    let report = plan.run().await?;
    println!("{report}");
    Ok(report.differences() == 0)
}
