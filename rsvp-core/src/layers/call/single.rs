//! Calls without entries as values: pages, steps of removals, labels and readiness.

use std::borrow::Cow;

use super::Call;
use crate::{
    Deadline, EventId, Label, LabelName, Operation, Page, PageLimit, PageRequest, ReadOptions,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, WriteOptions,
};

/// Implements [`Call`] for a call without entries.
///
/// The arguments are its struct, the arguments in front of its options, the place of its deadline,
/// and the field of the answer that marks a repetition.
macro_rules! single {
    (
        $name:ident, $method:ident, $operation:ident, $answer:ty,
        ($($argument:ident: $kind:ty),*), $options:ident: $of:ty, $entries:expr, $deadline:expr
        $(, $repeated:ident)?; $subject:ident: $id:ty = $own:expr
    ) => {
        #[doc = concat!("A call of [`", stringify!($method), "`](RsvpStore::", stringify!($method), ").")]
        #[derive(Clone, Debug)]
        pub(in crate::layers) struct $name<'a> {
            $(pub(in crate::layers) $argument: $kind,)*
            pub(in crate::layers) $options: Cow<'a, $of>,
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
pub(in crate::layers) struct Ready;

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
