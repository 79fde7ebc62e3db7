//! Batches as values: the ids, the parts and the answers of their entries.

use std::borrow::Cow;

use super::Call;
use crate::backend::{check_answer_count, fail_all};
use crate::{
    Action, BatchReceipt, Count, Deadline, Error, EventId, Operation, ReadOptions, Result, Rsvp,
    RsvpStore, SessionToken, UserId, Write, WriteOptions,
};

/// Copies the entries at these places.
fn select<E: Clone>(entries: &[E], places: &[usize]) -> Cow<'static, [E]>
where
    [E]: ToOwned<Owned = Vec<E>>,
{
    places.iter().filter_map(|place| entries.get(*place).cloned()).collect::<Vec<_>>().into()
}

fn failures<A>(results: &[Result<A>]) -> Vec<(usize, Error)> {
    let failed =
        |(place, result): (usize, &Result<A>)| Some((place, result.as_ref().err()?.clone()));
    results.iter().enumerate().filter_map(failed).collect()
}

/// Puts the results of a part into those of the whole.
///
/// If a part has another number of results than entries, nobody can assign them.
/// Then all its entries fail.
fn merge<A>(
    operation: Operation,
    answer: &mut [Result<A>],
    places: &[usize],
    part: Vec<Result<A>>,
) {
    let part = match check_answer_count(operation, places.len(), part.len()) {
        Ok(()) => part,
        Err(error) => fail_all(places.len(), &error),
    };
    for (place, result) in places.iter().zip(part) {
        put(answer, *place, result);
    }
}

fn put<A>(answer: &mut [Result<A>], place: usize, result: Result<A>) {
    if let Some(own) = answer.get_mut(place) {
        *own = result;
    }
}

/// A call of [`write_batch`](RsvpStore::write_batch).
#[derive(Clone, Debug)]
pub(in crate::layers) struct WriteBatch<'a> {
    pub(in crate::layers) writes: Cow<'a, [Write]>,
    pub(in crate::layers) options: Cow<'a, WriteOptions>,
}

impl Call for WriteBatch<'_> {
    type Answer = BatchReceipt;

    fn operation(&self) -> Operation {
        Operation::Write
    }

    fn entries(&self) -> usize {
        self.writes.len()
    }

    fn event(&self, place: usize) -> Option<&EventId> {
        Some(&self.writes.get(place)?.rsvp.event)
    }

    fn user(&self, place: usize) -> Option<&UserId> {
        Some(&self.writes.get(place)?.rsvp.user)
    }

    fn action(&self, place: usize) -> Option<Action> {
        Some(self.writes.get(place)?.action)
    }

    fn deadline(&self) -> Option<Deadline> {
        self.options.deadline
    }

    fn with_deadline(self, deadline: Deadline) -> Self {
        let options = Cow::Owned(self.options.into_owned().with_deadline(deadline));
        Self { options, ..self }
    }

    fn is_queued(&self) -> bool {
        self.options.queued
    }

    fn run<'f, S: RsvpStore + ?Sized>(
        &'f self,
        store: &'f S,
    ) -> impl Future<Output = Result<BatchReceipt>> + Send {
        store.write_batch(&self.writes, &self.options)
    }

    fn failures(answer: &BatchReceipt) -> Vec<(usize, Error)> {
        failures(&answer.results)
    }

    fn part(&self, places: &[usize]) -> Self {
        Self { writes: select(&self.writes, places), ..self.clone() }
    }

    fn merge(answer: &mut BatchReceipt, places: &[usize], part: BatchReceipt) {
        // The token must stand for the writes of both.
        answer.token.merge(&part.token);
        merge(Operation::Write, &mut answer.results, places, part.results);
    }

    fn widen(part: BatchReceipt, places: &[usize], entries: usize, error: &Error) -> BatchReceipt {
        // Every entry has the error at first.
        // The entries of the part get their own results.
        let mut whole = BatchReceipt::new(fail_all(entries, error), SessionToken::new());
        Self::merge(&mut whole, places, part);
        whole
    }

    fn fail(answer: &mut BatchReceipt, place: usize, error: Error) {
        put(&mut answer.results, place, Err(error));
    }

    fn mark_repeated(answer: &mut BatchReceipt, place: usize) {
        if let Some(Ok(written)) = answer.results.get_mut(place) {
            *written = written.after_repetition();
        }
    }
}

/// Implements [`Call`] for a batch of reads.
macro_rules! read_batch {
    (
        $name:ident, $method:ident, $operation:ident, $entry:ty, $answer:ty,
        $event:expr, $user:expr
    ) => {
        #[doc = concat!("A call of [`", stringify!($method), "`](RsvpStore::", stringify!($method), ").")]
        #[derive(Clone, Debug)]
        pub(in crate::layers) struct $name<'a> {
            pub(in crate::layers) entries: Cow<'a, [$entry]>,
            pub(in crate::layers) options: Cow<'a, ReadOptions>,
        }

        impl Call for $name<'_> {
            type Answer = Vec<Result<$answer>>;

            fn operation(&self) -> Operation {
                Operation::$operation
            }

            fn entries(&self) -> usize {
                self.entries.len()
            }

            fn event(&self, place: usize) -> Option<&EventId> {
                let event: fn(&$entry) -> Option<&EventId> = $event;
                event(self.entries.get(place)?)
            }

            fn user(&self, place: usize) -> Option<&UserId> {
                let user: fn(&$entry) -> Option<&UserId> = $user;
                user(self.entries.get(place)?)
            }

            fn deadline(&self) -> Option<Deadline> {
                self.options.deadline
            }

            fn with_deadline(self, deadline: Deadline) -> Self {
                let options = Cow::Owned(self.options.into_owned().with_deadline(deadline));
                Self { options, ..self }
            }

            fn is_queued(&self) -> bool {
                self.options.queued
            }

            fn run<'f, S: RsvpStore + ?Sized>(
                &'f self,
                store: &'f S,
            ) -> impl Future<Output = Result<Self::Answer>> + Send {
                store.$method(&self.entries, &self.options)
            }

            fn failures(answer: &Self::Answer) -> Vec<(usize, Error)> {
                failures(answer)
            }

            fn part(&self, places: &[usize]) -> Self {
                Self { entries: select(&self.entries, places), ..self.clone() }
            }

            fn merge(answer: &mut Self::Answer, places: &[usize], part: Self::Answer) {
                merge(Operation::$operation, answer, places, part);
            }

            fn widen(
                part: Self::Answer,
                places: &[usize],
                entries: usize,
                error: &Error,
            ) -> Self::Answer {
                let mut whole = fail_all(entries, error);
                Self::merge(&mut whole, places, part);
                whole
            }

            fn fail(answer: &mut Self::Answer, place: usize, error: Error) {
                put(answer, place, Err(error));
            }
        }
    };
}

read_batch!(
    HasRsvpedBatch,
    has_rsvped_batch,
    HasRsvped,
    Rsvp,
    bool,
    |pair| Some(&pair.event),
    |pair| Some(&pair.user)
);
read_batch!(
    RsvpCountBatch,
    rsvp_count_batch,
    RsvpCount,
    EventId,
    Count,
    |event| Some(event),
    |_| None
);
