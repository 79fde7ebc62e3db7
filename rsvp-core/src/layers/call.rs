//! A call of a store, as a value.

use std::borrow::Cow;

use crate::backend::{check_answer_count, fail_all};
use crate::{
    BatchReceipt, Count, Deadline, Error, EventId, Label, LabelName, Operation, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write,
    WriteOptions,
};

/// A call of a store, as a value that a [`Layer`](super::Layer) can look at, change and run as
/// often as it likes.
pub trait Call: Clone + Send + Sync {
    /// The answer to the call.
    type Answer: Send;

    /// The operation.
    fn operation(&self) -> Operation;

    /// The number of entries of a batch, or the limit of a page or a step, or 0.
    fn entries(&self) -> usize;

    /// The event of an entry of a batch, or of a call that is about one event. `None` if it names
    /// none there.
    fn event(&self, _place: usize) -> Option<&EventId> {
        None
    }

    /// The user of an entry of a batch, or of a call that is about one user, as
    /// [`event`](Self::event).
    fn user(&self, _place: usize) -> Option<&UserId> {
        None
    }

    /// The deadline of the call; `None` if it has none, or is of an operation without deadlines.
    fn deadline(&self) -> Option<Deadline>;

    /// The call with its deadline lowered to this one.
    #[must_use]
    fn with_deadline(self, deadline: Deadline) -> Self;

    /// Whether the call comes from a queue with a bound of its own.
    fn is_queued(&self) -> bool {
        false
    }

    /// Runs the call on a store.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn run<'f, S: RsvpStore + ?Sized>(
        &'f self,
        store: &'f S,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// The entries of a batch that have failed: their places and errors. Empty for other calls.
    fn failures(_answer: &Self::Answer) -> Vec<(usize, Error)> {
        Vec::new()
    }

    /// The call with these entries of its batch alone. Other calls stay as they are.
    #[must_use]
    fn part(&self, _places: &[usize]) -> Self {
        self.clone()
    }

    /// Puts the answer to a [`part`](Self::part) of a batch into the answer to the whole.
    fn merge(answer: &mut Self::Answer, _places: &[usize], part: Self::Answer) {
        *answer = part;
    }

    /// Makes the answer to a [`part`](Self::part) of a batch the answer to the whole, of so many entries.
    /// Those that are not in the part have this error. The answers to other calls stay as they are.
    #[must_use]
    fn widen(
        part: Self::Answer,
        _places: &[usize],
        _entries: usize,
        _error: &Error,
    ) -> Self::Answer {
        part
    }

    /// Replaces the result of one entry of a batch by an error.
    fn fail(_answer: &mut Self::Answer, _place: usize, _error: Error) {}

    /// Notes that a write, or a step of a removal, was repeated after an attempt of unknown effect.
    fn mark_repeated(_answer: &mut Self::Answer, _place: usize) {}
}

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

/// Puts the results of a part into those of the whole. From a part with another number of results
/// nobody can tell whose they are.
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
pub(super) struct WriteBatch<'a> {
    pub(super) writes: Cow<'a, [Write]>,
    pub(super) options: Cow<'a, WriteOptions>,
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
        answer.token.merge(&part.token);
        merge(Operation::Write, &mut answer.results, places, part.results);
    }

    fn widen(part: BatchReceipt, places: &[usize], entries: usize, error: &Error) -> BatchReceipt {
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
        pub(super) struct $name<'a> {
            pub(super) entries: Cow<'a, [$entry]>,
            pub(super) options: Cow<'a, ReadOptions>,
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

/// Implements [`Call`] for a call without entries: its struct, the arguments in front of its
/// options, the place of its deadline, and the field of the answer that says that it was repeated.
macro_rules! single {
    (
        $name:ident, $method:ident, $operation:ident, $answer:ty,
        ($($argument:ident: $kind:ty),*), $options:ident: $of:ty, $entries:expr, $deadline:expr
        $(, $repeated:ident)?; $subject:ident: $id:ty = $own:expr
    ) => {
        #[doc = concat!("A call of [`", stringify!($method), "`](RsvpStore::", stringify!($method), ").")]
        #[derive(Clone, Debug)]
        pub(super) struct $name<'a> {
            $(pub(super) $argument: $kind,)*
            pub(super) $options: Cow<'a, $of>,
        }

        impl Call for $name<'_> {
            type Answer = $answer;

            fn operation(&self) -> Operation {
                Operation::$operation
            }

            fn entries(&self) -> usize {
                let entries: fn(&Self) -> usize = $entries;
                entries(self)
            }

            fn $subject(&self, _: usize) -> Option<&$id> {
                let subject: fn(&Self) -> Option<&$id> = $own;
                subject(self)
            }

            fn deadline(&self) -> Option<Deadline> {
                let deadline: fn(&$of) -> Option<Deadline> = $deadline;
                deadline(&self.$options)
            }

            fn with_deadline(self, deadline: Deadline) -> Self {
                let mut call = self;
                call.$options = Cow::Owned(call.$options.into_owned().with_deadline(deadline));
                call
            }

            fn run<'f, S: RsvpStore + ?Sized>(
                &'f self,
                store: &'f S,
            ) -> impl Future<Output = Result<$answer>> + Send {
                store.$method($(self.$argument,)* &self.$options)
            }

            $(fn mark_repeated(answer: &mut $answer, _: usize) {
                answer.$repeated = true;
            })?
        }
    };
}

single!(
    AttendeesPage, attendees_page, Attendees, Page<UserId>,
    (event: &'a EventId), request: PageRequest,
    |call| call.request.limit.get(), |request| request.options.deadline; event: EventId = |call| Some(call.event)
);
single!(
    EventsOfPage, events_of_page, EventsOf, Page<EventId>,
    (user: &'a UserId), request: PageRequest,
    |call| call.request.limit.get(), |request| request.options.deadline; user: UserId = |call| Some(call.user)
);
single!(
    ScanPage, scan_page, Scan, Page<Rsvp>,
    (), request: PageRequest,
    |call| call.request.limit.get(), |request| request.options.deadline; event: EventId = |_| None
);
single!(
    RemoveEventStep, remove_event_step, RemoveEvent, RemovalStep,
    (event: &'a EventId, limit: PageLimit), options: WriteOptions,
    |call| call.limit.get(), |options| options.deadline, repeated; event: EventId = |call| Some(call.event)
);
single!(
    RemoveUserStep, remove_user_step, RemoveUser, RemovalStep,
    (user: &'a UserId, limit: PageLimit), options: WriteOptions,
    |call| call.limit.get(), |options| options.deadline, repeated; user: UserId = |call| Some(call.user)
);
single!(
    ReadLabel, label, Label, Option<Label>,
    (name: &'a LabelName), options: ReadOptions,
    |_| 0, |options| options.deadline; event: EventId = |_| None
);
single!(
    ReplaceLabel, replace_label, ReplaceLabel, Option<Label>,
    (name: &'a LabelName, expected: Option<&'a Label>, value: &'a Label), options: WriteOptions,
    |_| 0, |options| options.deadline; event: EventId = |_| None
);

/// A call of [`ready`](RsvpStore::ready).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready;

impl Call for Ready {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Ready
    }

    fn entries(&self) -> usize {
        0
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn with_deadline(self, _: Deadline) -> Self {
        self
    }

    fn run<'f, S: RsvpStore + ?Sized>(
        &'f self,
        store: &'f S,
    ) -> impl Future<Output = Result<()>> + Send {
        store.ready()
    }
}
