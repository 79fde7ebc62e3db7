//! The ways to be broken, and the sentences that each breaks.

/// One way to be broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    CountDriftsOnARepeatedRsvp,
    IdsAreCaseFolded,
    IdsAreTrimmed,
    APageIsSkipped,
    ACancelledRsvpStaysInTheOtherDirection,
    OutcomesAreInTheWrongOrder,
    StrongReadsAreStale,
    SessionReadsAreStale,
    CancelsAlwaysClaimToHaveApplied,
    DuplicatesInABatchShareAnOutcome,
    PagesIgnoreTheirLimit,
    RemovalsIgnoreTheirLimit,
    RemovalsForgetTheOtherDirection,
    RemovalsCountNothing,
    AnyCursorIsTheFirstPage,
    CountsAreOlderThanAsked,
    ConcurrentRsvpsBothApply,
    BatchesAreCutShort,
    RepeatedPairsAreAnsweredOnce,
    NeverReady,
    OutcomesGoToTheWrongCaller,
    PairsJoinToOneKey,
    BoundedReadsKnowNothing,
    OnlyItsOwnWritesAreSeen,
    ListsGoByPosition,
    RemovalsCountWhatTheyListed,
    PrintingShowsIds,
}

/// The sentences by which each is found out.
pub(super) const SENTENCES: &[(Fault, &[&str])] = &[
    (
        Fault::CountDriftsOnARepeatedRsvp,
        &["rsvp_of_a_present_pair_is_unchanged", "the_count_moves_by_the_applied_outcomes"],
    ),
    (Fault::IdsAreCaseFolded, &["ids_that_look_alike_are_different"]),
    (Fault::IdsAreTrimmed, &["hostile_ids_survive_unchanged"]),
    (Fault::APageIsSkipped, &["lists_hold_everything_at_any_page_size"]),
    (
        Fault::ACancelledRsvpStaysInTheOtherDirection,
        &["cancel_of_a_present_rsvp_is_applied", "random_operations_match_the_model"],
    ),
    (Fault::OutcomesAreInTheWrongOrder, &["outcomes_come_in_the_order_of_the_writes"]),
    (Fault::StrongReadsAreStale, &["a_strong_read_sees_every_acknowledged_write"]),
    (Fault::SessionReadsAreStale, &["a_session_read_sees_the_writes_behind_its_token"]),
    (Fault::CancelsAlwaysClaimToHaveApplied, &["cancel_of_an_absent_rsvp_is_unchanged"]),
    (Fault::DuplicatesInABatchShareAnOutcome, &["duplicates_in_a_batch_each_have_their_outcome"]),
    (Fault::PagesIgnoreTheirLimit, &["pages_hold_at_most_their_limit"]),
    (Fault::RemovalsIgnoreTheirLimit, &["a_removal_takes_bounded_steps"]),
    (
        Fault::RemovalsForgetTheOtherDirection,
        &["a_removed_event_leaves_no_trace", "random_operations_match_the_model"],
    ),
    (Fault::RemovalsCountNothing, &["a_removal_returns_how_many_went"]),
    (Fault::AnyCursorIsTheFirstPage, &["a_cursor_of_another_listing_is_refused"]),
    (Fault::CountsAreOlderThanAsked, &["a_count_was_true_no_longer_ago_than_its_age"]),
    (Fault::ConcurrentRsvpsBothApply, &["one_of_many_concurrent_rsvps_is_applied"]),
    (Fault::BatchesAreCutShort, &["a_batch_of_ten_thousand_is_one_call"]),
    (Fault::RepeatedPairsAreAnsweredOnce, &["answers_come_in_the_order_asked_with_repeats"]),
    (Fault::NeverReady, &["a_ready_store_says_so"]),
    (Fault::OutcomesGoToTheWrongCaller, &["concurrent_callers_each_get_their_own_outcome"]),
    (Fault::PairsJoinToOneKey, &["pairs_that_join_to_the_same_text_are_different"]),
    (
        Fault::BoundedReadsKnowNothing,
        &[
            "a_bounded_read_sees_writes_older_than_its_bound",
            "a_bound_of_nothing_is_strong",
            "a_count_was_true_no_longer_ago_than_its_age",
        ],
    ),
    (
        Fault::OnlyItsOwnWritesAreSeen,
        &[
            "a_strong_read_sees_every_acknowledged_write",
            "a_session_read_sees_the_writes_behind_its_token",
        ],
    ),
    (
        Fault::ListsGoByPosition,
        &[
            "attendees_who_stay_are_listed_while_others_come_and_go",
            "events_that_stay_are_listed_while_others_come_and_go",
            "rsvps_that_stay_are_scanned_while_others_come_and_go",
        ],
    ),
    (Fault::RemovalsCountWhatTheyListed, &["removals_among_writers_add_up"]),
    (Fault::PrintingShowsIds, &["printing_a_store_shows_no_ids"]),
];
