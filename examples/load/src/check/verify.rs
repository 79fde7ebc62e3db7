//! The comparison at the end, when nothing is in flight.

use std::collections::HashSet;

use rsvp::SessionToken;

use super::client::Failure;
use super::probe::Probe;
use super::report::Tally;
use super::world::World;

/// Compares every count and every list, in both directions, with the model.
///
/// `session` stands for the writes of all connections, so that no answer may be stale.
pub(crate) async fn everything(
    address: &str,
    world: &World,
    going: &HashSet<(usize, usize)>,
    session: SessionToken,
) -> Result<Tally, Failure> {
    let mut probe = Probe::connect(address, session).await?;
    for event in &world.events {
        let users = world.users.iter();
        let users = users.filter(|user| going.contains(&(user.index, event.name.index)));
        let expected: HashSet<&str> = users.map(|user| user.id.as_str()).collect();

        let (count, _) = probe.rsvp_count(event, true).await?;
        let right = count == expected.len() as u64;
        probe.tally.check(right, || {
            format!("final count of {}: {count}, not {}", event.name.id, expected.len())
        });
        let path = format!("/events/{}/users", event.name.segment);
        let list = probe.list("attendees", &path, 97, true).await?;
        probe.compare_list(&event.name.id, &list, &expected);
    }
    for user in &world.users {
        let events = world.events.iter().map(|event| &event.name);
        let events = events.filter(|event| going.contains(&(user.index, event.index)));
        let expected: HashSet<&str> = events.map(|event| event.id.as_str()).collect();
        let path = format!("/users/{}/events", user.segment);
        let list = probe.list("events_of", &path, 7, true).await?;
        probe.compare_list(&user.id, &list, &expected);
    }
    Ok(probe.tally)
}
