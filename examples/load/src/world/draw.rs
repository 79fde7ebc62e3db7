//! The next call.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng;
use rsvp::{Action, Write};

use super::call::Call;
use super::pair::State;
use super::{HOT_PAIRS, PAIRS, World};
use crate::plan::{Focus, Mix};

/// How many pairs are tried to find one that no write is in flight for.
const TRIES: usize = 16;

impl World {
    /// A random call of the mix. The write that it may be counts as in flight from now on.
    pub(crate) fn draw(&self, mix: &Mix, rng: &mut impl Rng, now: Duration) -> Option<Call> {
        let share = rng.random_range(0..100);
        let reads = mix.writes + mix.reads;
        match share {
            _ if share < mix.writes => {
                self.write(mix.focus, rng, now).or_else(|| self.count(mix.focus, rng, now))
            }
            _ if share < reads => self.read(mix.focus, rng),
            _ if share < reads + mix.counts => self.count(mix.focus, rng, now),
            _ if share % 2 == 0 => {
                let event = self.events.get(self.event(mix.focus, rng))?.clone();
                Some(Call::Attendees { event })
            }
            _ => Some(Call::EventsOf { user: self.rsvp(self.place(mix.focus, rng))?.user }),
        }
    }

    fn write(&self, focus: Focus, rng: &mut impl Rng, now: Duration) -> Option<Call> {
        let begun = (0..TRIES).find_map(|_| {
            let place = match focus {
                Focus::Fresh => self.next.fetch_add(1, Ordering::Relaxed) % self.users.len(),
                Focus::All | Focus::One => self.place(focus, rng),
            };
            Some((place, self.pairs.get(place)?.begin()?))
        });
        let (place, before) = begun?;
        let action = if before == State::In { Action::Cancel } else { Action::Rsvp };
        let history = self.histories.get(self.event_of(place))?;
        history.begin(action, now);
        Some(Call::Write { write: Write::new(action, self.rsvp(place)?), place, before })
    }

    /// One read in four is of a pair that was written shortly before.
    fn read(&self, focus: Focus, rng: &mut impl Rng) -> Option<Call> {
        let recent = self.recent.get(rng.random_range(0..4 * self.recent.len()));
        let recent = recent.map(|place| place.load(Ordering::Relaxed) as usize);
        let recent = recent.filter(|&place| place < self.pairs.len());
        let place = recent.unwrap_or_else(|| self.place(focus, rng));
        let seen = self.pairs.get(place)?.see();
        Some(Call::HasRsvped { pair: self.rsvp(place)?, place, seen })
    }

    fn count(&self, focus: Focus, rng: &mut impl Rng, began: Duration) -> Option<Call> {
        let place = self.event(focus, rng);
        Some(Call::RsvpCount { event: self.events.get(place)?.clone(), place, began })
    }

    fn event(&self, focus: Focus, rng: &mut impl Rng) -> usize {
        match focus {
            Focus::All => self.zipf.draw(rng) + 1,
            Focus::One | Focus::Fresh => 0,
        }
    }

    fn place(&self, focus: Focus, rng: &mut impl Rng) -> usize {
        match focus {
            Focus::All => {
                self.users.len() + self.zipf.draw(rng) * PAIRS + rng.random_range(0..PAIRS)
            }
            Focus::One => rng.random_range(0..HOT_PAIRS),
            // About those who have come.
            Focus::Fresh => {
                rng.random_range(0..self.next.load(Ordering::Relaxed).max(1)) % self.users.len()
            }
        }
    }
}
