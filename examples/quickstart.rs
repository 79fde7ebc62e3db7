//! Each call once, then real attendance records.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart --features sqlite -- --store sqlite:demo.db
//! ```
//!
//! The second one keeps the RSVPs in a file: run it twice, and most are there already.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use futures_util::TryStreamExt;
use rsvp::{EventId, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions};

/// Attendance records of social events: see `data/README.md`.
const ATTENDANCE: &str = include_str!("data/davis_southern_women.csv");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = rsvp::open(&store_url()).await?;
    first_calls(&store).await?;
    real_records(&store).await?;
    store.close().await
}

/// The URL behind `--store`. Without one the RSVPs are gone when the program ends.
fn store_url() -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--store");
    arguments.nth(1).unwrap_or_else(|| "memory:".to_owned())
}

async fn first_calls(store: &dyn RsvpStore) -> Result<()> {
    let rsvps = [(1, "101a"), (2, "101a"), (3, "102")];
    for (user, event) in rsvps {
        let receipt = store.rsvp(&UserId::from(user), &EventId::new(event)?).await?;
        println!("rsvp({user}, {event}) = {:?}", receipt.outcome);
    }
    for (user, event) in rsvps {
        let rsvped = store.has_rsvped(&UserId::from(user), &EventId::new(event)?).await?;
        println!("has_rsvped({user}, {event}) = {rsvped}");
    }

    let event = EventId::new("101a")?;
    println!("rsvp_count({event}) = {}", store.rsvp_count(&event).await?.value);
    let receipt = store.cancel(&UserId::from(1), &event).await?;
    println!("cancel(1, {event}) = {:?}", receipt.outcome);
    println!("rsvp_count({event}) = {}", store.rsvp_count(&event).await?.value);
    Ok(())
}

/// Loads the records in one batch and prints every event, then the people of the largest one.
async fn real_records(store: &dyn RsvpStore) -> Result<()> {
    let records: Vec<Rsvp> = ATTENDANCE
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(record)
        .collect::<Result<_>>()?;
    let writes: Vec<Write> = records
        .iter()
        .map(|record| Write::rsvp(record.user.clone(), record.event.clone()))
        .collect();
    // A write that fails fails alone, so every result counts.
    store.write_batch(&writes, &WriteOptions::default()).await?.outcomes()?;

    let mut events: Vec<EventId> = records.into_iter().map(|record| record.event).collect();
    // E2 before E10.
    events.sort_by_key(|event| (event.as_str().len(), event.clone()));
    events.dedup();

    println!();
    let mut largest = None;
    for event in events {
        let count = store.rsvp_count(&event).await?.value;
        println!("rsvp_count({event}) = {count}");
        if largest.as_ref().is_none_or(|(most, _)| count > *most) {
            largest = Some((count, event));
        }
    }

    if let Some((count, event)) = largest {
        println!("\nThe {count} people of {event}:");
        let mut people: Vec<UserId> = store.attendees(&event).try_collect().await?;
        people.sort();
        for person in people {
            println!("  {person}");
        }
    }
    Ok(())
}

fn record((user, event): (&str, &str)) -> Result<Rsvp> {
    Ok(Rsvp::new(UserId::new(user)?, EventId::new(event)?))
}
