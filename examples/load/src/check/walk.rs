//! The random operations of one connection.

use std::collections::HashSet;
use std::sync::Arc;

use rsvp::{Consistency, SessionToken};

use super::client::Failure;
use super::plan::Plan;
use super::probe::Probe;
use super::random::Random;
use super::report::Tally;
use super::world::{Event, Name, World};

#[derive(Debug)]
pub(crate) struct Walk {
    world: Arc<World>,
    /// This connection alone writes the users `first`, `first + stride`, and so on.
    first: usize,
    stride: usize,
    random: Random,
    /// The model: the pairs of these users that exist.
    going: HashSet<(usize, usize)>,
    probe: Probe,
}

/// The results of a walk.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) going: HashSet<(usize, usize)>,
    pub(crate) session: SessionToken,
    pub(crate) tally: Tally,
}

impl Walk {
    pub(crate) async fn begin(
        plan: &Plan,
        connection: usize,
        world: Arc<World>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            world,
            first: connection,
            stride: plan.connections,
            random: Random::new(plan.seed, connection),
            going: HashSet::new(),
            probe: Probe::connect(&plan.address, SessionToken::new()).await?,
        })
    }

    pub(crate) async fn steps(mut self, steps: usize) -> Result<Walked, Failure> {
        let world = Arc::clone(&self.world);
        let own: Vec<&Name> = world.users.iter().skip(self.first).step_by(self.stride).collect();
        for _ in 0..steps {
            let user = own.get(self.random.below(own.len())).ok_or("no user")?;
            let event = self.random.below(world.events.len());
            let event = world.events.get(event).ok_or("no event")?;
            self.step(user, event).await?;
        }
        Ok(Walked { going: self.going, session: self.probe.session, tally: self.probe.tally })
    }

    async fn step(&mut self, user: &Name, event: &Event) -> Result<(), Failure> {
        let in_session = self.random.below(2) == 0;
        match self.random.below(1000) {
            0..300 => self.write(true, user, event).await,
            300..550 => self.write(false, user, event).await,
            550..850 => {
                let expected = self.going.contains(&(user.index, event.name.index));
                self.probe.has_rsvped(user, event, expected, in_session).await
            }
            850..990 => self.count(event, in_session).await,
            990..995 => self.attendees(event, in_session).await,
            _ => self.events_of(user, in_session).await,
        }
    }

    async fn write(&mut self, rsvp: bool, user: &Name, event: &Event) -> Result<(), Failure> {
        let pair = (user.index, event.name.index);
        let applies = if rsvp { self.going.insert(pair) } else { self.going.remove(&pair) };
        if applies {
            event.moves.begin(rsvp);
        }
        self.probe.write(rsvp, user, event, applies).await?;
        if applies {
            event.moves.done(rsvp);
        }
        Ok(())
    }

    async fn count(&mut self, event: &Event, in_session: bool) -> Result<(), Failure> {
        let asked = event.moves.ask();
        let (count, age) = self.probe.rsvp_count(event, in_session).await?;
        let oldest = Consistency::DEFAULT_COUNT_BOUND.as_millis();
        // A count of an earlier moment is only compared with what it can be at any.
        let bounds =
            if age == 0 { event.moves.bounds(&asked) } else { 0..=self.world.users.len() as u64 };
        let right = bounds.contains(&count) && u128::from(age) <= oldest;
        self.probe.tally.check(right, || {
            format!("count of {}: {count}, {age} ms old, not within {bounds:?}", event.name.id)
        });
        Ok(())
    }

    /// Only the users of this connection stay unchanged while the list is read.
    async fn attendees(&mut self, event: &Event, in_session: bool) -> Result<(), Failure> {
        let path = format!("/events/{}/users", event.name.segment);
        let limit = 1 + self.random.below(1000);
        let list = self.probe.list("attendees", &path, limit, in_session).await?;

        let listed: HashSet<&str> = list.iter().map(String::as_str).collect();
        for user in self.world.users.iter().skip(self.first).step_by(self.stride) {
            let going = self.going.contains(&(user.index, event.name.index));
            let right = listed.contains(user.id.as_str()) == going;
            self.probe.tally.check(right, || {
                format!("attendees of {}: {} is coming: {going}", event.name.id, user.id)
            });
        }
        for id in listed {
            let known = self.world.has_user(id);
            self.probe.tally.check(known, || format!("attendees of {}: {id:?}", event.name.id));
        }
        Ok(())
    }

    async fn events_of(&mut self, user: &Name, in_session: bool) -> Result<(), Failure> {
        let path = format!("/users/{}/events", user.segment);
        let limit = 1 + self.random.below(100);
        let list = self.probe.list("events_of", &path, limit, in_session).await?;
        let events = self.world.events.iter().map(|event| &event.name);
        let going = events.filter(|event| self.going.contains(&(user.index, event.index)));
        let expected = going.map(|event| event.id.as_str()).collect();
        self.probe.compare_list(&user.id, &list, &expected);
        Ok(())
    }
}
