//! The list of cases, and the macro that writes a test for each.

use futures_util::future::LocalBoxFuture;

use super::subject::Trial;

/// One sentence of the contract, as a test.
///
/// ```
/// for case in rsvp_testkit::CASES {
///     println!("{}", case.name.replace('_', " "));
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The sentence.
    pub name: &'static str,
    /// The test. It panics if the store breaks the sentence.
    pub run: for<'a> fn(&'a Trial) -> LocalBoxFuture<'a, ()>,
}

/// Every case of the suite, in the order of the contract.
pub const CASES: &[Case] = crate::__every_case!(__case_list);

/// Writes one test for each case of the contract, for any store.
///
/// The expression makes a fresh, empty store.
/// It may use `.await` and is evaluated once for each case.
///
/// ```
/// rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new());
/// ```
///
/// An engine may make a case impossible.
/// The store then excepts the case by name, with a reason.
/// The test prints the reason instead of running the case:
///
/// ```
/// rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new(), except {
///     lists_repeat_nothing_while_nothing_changes => "an example of a written reason",
/// });
/// ```
///
/// A store that answers bounded reads from replicas excepts `a_write_shows_in_the_next_count`,
/// because there only a session or a strong read sees a write at once.
///
/// The model test keeps the seeds of failures in `proptest-regressions/conformance.txt`
/// of the crate that invokes the macro. Commit that file.
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
            // `env!` expands in the crate of the caller, and the file belongs there.
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
            writes::a_store_that_cannot_write_is_not_ready
            writes::printing_a_store_shows_no_ids

            batches::empty_batches_are_fine
            batches::outcomes_come_in_the_order_of_the_writes
            batches::duplicates_in_a_batch_each_have_their_outcome
            batches::a_batch_behaves_as_its_writes_one_after_another
            batches::a_batch_of_ten_thousand_is_one_call
            batches::answers_come_in_the_order_asked_with_repeats

            entries::an_entry_that_fails_takes_no_other_down
            entries::writes_of_one_pair_in_a_batch_fail_or_succeed_together

            settled::what_a_failed_write_did_not_do_it_never_does
            settled::an_acknowledged_cancel_is_not_undone_by_an_earlier_write

            deadlines::a_call_whose_deadline_has_passed_is_not_begun
            deadlines::a_deadline_that_is_far_changes_nothing

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
            reads::no_read_invents_what_was_never_written
            reads::a_token_stays_small_however_many_writes_it_stands_for

            lists::a_listing_of_nothing_is_empty
            lists::lists_hold_everything_at_any_page_size
            lists::lists_repeat_nothing_while_nothing_changes
            lists::pages_hold_at_most_their_limit
            lists::lists_of_hostile_ids_hold_everything_at_any_page_size
            lists::lists_of_ids_that_differ_at_their_end_hold_everything
            lists::lists_of_several_pages_are_as_fresh_as_asked

            changing_lists::attendees_who_stay_are_listed_while_others_come_and_go
            changing_lists::events_that_stay_are_listed_while_others_come_and_go
            changing_lists::rsvps_that_stay_are_scanned_while_others_come_and_go
            changing_lists::attendees_who_stay_are_listed_while_an_event_grows_and_shrinks
            changing_lists::events_that_stay_are_listed_while_a_user_gains_and_loses_some
            changing_lists::rsvps_that_stay_are_scanned_while_the_store_grows_and_shrinks
            changing_lists::what_stays_is_listed_among_concurrent_writers

            cursors::a_cursor_may_be_used_again
            cursors::a_cursor_of_another_listing_is_refused
            cursors::a_cursor_of_another_subject_is_refused
            cursors::any_cursor_is_read_or_refused

            scale::a_batch_of_twenty_thousand_is_done_to_its_end
            scale::a_count_beyond_65_536_is_exact
            scale::a_list_of_thousands_is_read_to_its_end
            scale::a_removal_of_thousands_leaves_nothing

            removal::a_removed_event_leaves_no_trace
            removal::a_removed_user_leaves_no_trace
            removal::a_removal_returns_how_many_went
            removal::a_removal_takes_bounded_steps
            removal::a_removal_that_stopped_can_be_taken_up_again
            removal::a_session_sees_its_removal
            removal::what_was_removed_can_come_back
            removal::a_removal_takes_its_id_literally
            removal::a_removal_repeated_after_a_failed_step_counts_nothing_twice

            labels::a_label_is_set_if_it_is_absent
            labels::a_label_is_replaced_only_if_it_holds_what_was_expected
            labels::labels_are_kept_whole_and_apart
            labels::labels_are_no_rsvps_and_no_removal_touches_them
            labels::one_of_many_concurrent_replacements_of_a_label_wins

            cancellation::a_dropped_write_may_be_repeated
            cancellation::a_dropped_write_is_done_in_both_directions_or_in_none
            cancellation::dropped_calls_leave_the_store_working
            cancellation::answers_reach_their_own_caller

            races::concurrent_callers_each_get_their_own_outcome
            races::one_of_many_concurrent_rsvps_is_applied
            races::concurrent_toggles_add_up
            races::concurrent_writers_leave_exact_counts
            races::batches_in_opposite_order_both_finish
            races::removals_among_writers_add_up

            random::random_operations_match_the_model

            closing::a_closed_store_refuses_every_call
            closing::calls_under_way_are_finished_when_a_store_closes
        }
    };
}
