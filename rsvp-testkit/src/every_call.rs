//! Every call of a store, for tests of rules common to all calls.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::backend::combine;
use rsvp_core::{
    Deadline, EventId, Label, LabelName, Operation, PageLimit, PageRequest, ReadOptions, Result,
    Rsvp, RsvpStore, UserId, Write, WriteOptions,
};

/// A call of a store, not begun yet.
pub type PendingCall<'a> = (Operation, BoxFuture<'a, Result<()>>);

/// Returns one call of each operation of [`RsvpStore`]. [`close`](RsvpStore::close) is the last.
///
/// A call begins when it is polled. Calls with options have this deadline.
/// The error of an entry of a batch is the error of its call.
///
/// ```
/// use rsvp_core::Operation;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::every_call;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// let store = MemoryStore::new();
/// for (_, call) in every_call(&store, None) {
///     call.await?;
/// }
/// for (operation, call) in every_call(&store, None) {
///     assert!(call.await.is_err() || operation == Operation::Close, "{operation} of a closed store");
/// }
/// # Ok(())
/// # }
/// ```
pub fn every_call(store: &dyn RsvpStore, deadline: Option<Deadline>) -> Vec<PendingCall<'_>> {
    let mut calls = data_calls(store, deadline);
    calls.extend([
        (Operation::Ready, async move { store.ready().await }.boxed()),
        (Operation::Close, async move { store.close().await }.boxed()),
    ]);
    calls
}

/// Returns the calls with options.
fn data_calls(store: &dyn RsvpStore, deadline: Option<Deadline>) -> Vec<PendingCall<'_>> {
    let (mut read, mut write) = (ReadOptions::strong(), WriteOptions::default());
    (read.deadline, write.deadline) = (deadline, deadline);
    let page = PageRequest::new(read.clone());
    let (user, event, limit) = (UserId::from(1), EventId::from(1), PageLimit::MIN);
    let pair = Rsvp::new(user.clone(), event.clone());
    macro_rules! call {
        ($operation:ident, |$($used:ident),*| $answer:expr) => {{
            // The future owns its inputs, so each call runs on its own and in any order.
            $(let $used = $used.clone();)*
            (Operation::$operation, async move { $answer.map(drop) }.boxed())
        }};
    }
    vec![
        call!(Write, |pair, write| {
            let other = Write::cancel(UserId::from(2), pair.event.clone());
            let writes = [Write::rsvp(pair.user, pair.event), other];
            store.write_batch(&writes, &write).await.and_then(|receipt| combine(receipt.results))
        }),
        call!(HasRsvped, |pair, read| {
            store.has_rsvped_batch(&[pair], &read).await.and_then(combine)
        }),
        call!(RsvpCount, |event, read| {
            store.rsvp_count_batch(&[event], &read).await.and_then(combine)
        }),
        call!(Attendees, |event, page| store.attendees_page(&event, &page).await),
        call!(EventsOf, |user, page| store.events_of_page(&user, &page).await),
        call!(Scan, |page| store.scan_page(&page).await),
        // Use an event and a user without writes, so that the pair above stays.
        call!(RemoveEvent, |write| {
            store.remove_event_step(&EventId::from(9), limit, &write).await
        }),
        call!(RemoveUser, |write| store.remove_user_step(&UserId::from(9), limit, &write).await),
        call!(Label, |read| match LabelName::new("every-call") {
            Ok(name) => store.label(&name, &read).await,
            Err(error) => Err(error),
        }),
        call!(ReplaceLabel, |write| match (LabelName::new("every-call"), Label::new("1")) {
            (Ok(name), Ok(label)) => store.replace_label(&name, None, &label, &write).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        }),
    ]
}
