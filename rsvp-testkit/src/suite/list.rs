//! The list of cases, and the macro that writes a test for each.

use futures_util::future::LocalBoxFuture;

use super::subject::Trial;

/// One sentence of the contract, as a test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The sentence.
    pub name: &'static str,
    /// Runs the case, and panics if the store breaks the sentence.
    pub run: for<'a> fn(&'a Trial) -> LocalBoxFuture<'a, ()>,
}

/// Every case of the suite, in the order of the contract.
pub const CASES: &[Case] = crate::__every_case!(__case_list);

/// Writes one test per case of the contract, for any store.
///
/// The expression makes a fresh, empty store. It may use `.await` and is evaluated once per case.
///
/// ```
/// rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new());
/// ```
///
/// A store whose engine leaves it no choice names the cases it cannot hold, each with a reason
/// that is printed instead of running it:
///
/// ```
/// rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new(), except {
///     lists_repeat_nothing_while_nothing_changes => "an example of a written reason",
/// });
/// ```
///
/// A store that answers bounded reads from replicas has one of its own for
/// `a_write_shows_in_the_next_count`, since there only a session or a strong read sees a write at
/// once.
///
/// The model test keeps the seeds of failures in `proptest-regressions/conformance.txt` of the
/// crate that invokes the macro. Commit that file.
#[macro_export]
macro_rules! conformance {
    ($make:expr $(,)?) => {
        $crate::conformance!($make, except {});
    };
    ($make:expr, except { $($case:ident => $reason:literal),* $(,)? } $(,)?) => {
        const __RSVP_EXCEPTIONS: &[(&str, &str)] = &[$((stringify!($case), $reason)),*];

        async fn __rsvp_subject() -> $crate::Subject {
            $crate::Subject::from($make)
        }

        $crate::__every_case!(__tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($($file:ident::$case:ident)*) => {$(
        #[test]
        fn $case() {
            const REGRESSIONS: &str =
                concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/conformance.txt");
            $crate::run(stringify!($case), __rsvp_subject, REGRESSIONS, __RSVP_EXCEPTIONS);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_list {
    ($($file:ident::$case:ident)*) => {
        &[$(Case {
            name: stringify!($case),
            run: |trial| Box::pin($crate::suite::cases::$file::$case(trial)),
        }),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __every_case {
    ($then:ident) => {
        $crate::$then! {
            ids::ids_outside_the_limits_are_refused
            ids::hostile_ids_survive_unchanged
            ids::ids_that_look_alike_are_different
            ids::pairs_that_join_to_the_same_text_are_different
            ids::ids_of_255_bytes_are_kept_whole

            writes::a_new_store_is_empty
            writes::rsvp_of_an_absent_pair_is_applied
            writes::rsvp_of_a_present_pair_is_unchanged
            writes::cancel_of_a_present_rsvp_is_applied
            writes::cancel_of_an_absent_rsvp_is_unchanged
            writes::a_cancelled_rsvp_can_be_made_again
            writes::a_write_touches_only_its_pair
            writes::the_count_moves_by_the_applied_outcomes
            writes::repeating_a_batch_moves_no_count
            writes::a_ready_store_says_so
            writes::printing_a_store_shows_no_ids

            batches::empty_batches_are_fine
            batches::outcomes_come_in_the_order_of_the_writes
            batches::duplicates_in_a_batch_each_have_their_outcome
            batches::a_batch_behaves_as_its_writes_one_after_another
            batches::a_batch_of_ten_thousand_is_one_call
            batches::answers_come_in_the_order_asked_with_repeats

            reads::a_strong_read_sees_every_acknowledged_write
            reads::a_session_read_sees_the_writes_behind_its_token
            reads::a_printed_token_still_shows_its_writes
            reads::merged_tokens_show_the_writes_of_both
            reads::the_token_of_an_unchanged_write_shows_its_state
            reads::a_bounded_read_sees_writes_older_than_its_bound
            reads::a_bound_of_nothing_is_strong
            reads::a_count_was_true_no_longer_ago_than_its_age
            reads::a_write_shows_in_the_next_count
            reads::an_eventual_read_answers_what_was_committed_once

            lists::a_listing_of_nothing_is_empty
            lists::lists_hold_everything_at_any_page_size
            lists::lists_repeat_nothing_while_nothing_changes
            lists::pages_hold_at_most_their_limit
            lists::attendees_who_stay_are_listed_while_others_come_and_go
            lists::events_that_stay_are_listed_while_others_come_and_go
            lists::rsvps_that_stay_are_scanned_while_others_come_and_go
            lists::a_cursor_may_be_used_again
            lists::a_cursor_of_another_listing_is_refused
            lists::any_cursor_is_read_or_refused

            removal::a_removed_event_leaves_no_trace
            removal::a_removed_user_leaves_no_trace
            removal::a_removal_returns_how_many_went
            removal::a_removal_takes_bounded_steps
            removal::a_removal_that_stopped_can_be_taken_up_again
            removal::a_session_sees_its_removal
            removal::what_was_removed_can_come_back

            cancellation::a_dropped_write_may_be_repeated
            cancellation::dropped_calls_leave_the_store_working
            cancellation::answers_reach_their_own_caller

            races::concurrent_callers_each_get_their_own_outcome
            races::one_of_many_concurrent_rsvps_is_applied
            races::concurrent_toggles_add_up
            races::concurrent_writers_leave_exact_counts
            races::batches_in_opposite_order_both_finish
            races::removals_among_writers_add_up

            random::random_operations_match_the_model
        }
    };
}
