//! Stores that are broken on purpose fail the suite, and by the sentence they break.

mod fault;
mod promises;
mod scale;
mod store;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rsvp_testkit::Subject;

use self::fault::Fault;
use self::store::BrokenStore;

/// Ways to be broken, and the sentences by which each is found out.
type Sentences<F> = &'static [(F, &'static [&'static str])];

/// Whether the subject passes the case.
pub(crate) fn passes(
    case: &'static str,
    subject: impl FnOnce() -> Subject + Send + 'static,
) -> bool {
    // Nothing that fails here is a regression to remember.
    let regressions = concat!(env!("CARGO_TARGET_TMPDIR"), "/expected-failures.txt");
    let make = move || async move { subject() };
    catch_unwind(AssertUnwindSafe(|| rsvp_testkit::run(case, make, regressions, &[]))).is_ok()
}

/// Checks that each fault is found out by each of its sentences.
fn assert_found_out<F: Copy + Debug + Send + 'static>(
    sentences: Sentences<F>,
    subject: fn(F) -> Subject,
) {
    for &(fault, sentences) in sentences {
        for sentence in sentences {
            assert!(!passes(sentence, move || subject(fault)), "{fault:?} keeps {sentence}");
        }
    }
}

/// Checks that a store without a fault keeps all those sentences.
fn assert_kept<F: Copy + Send + 'static>(
    none: F,
    sentences: Sentences<F>,
    subject: fn(F) -> Subject,
) {
    let sentences: BTreeSet<_> = sentences.iter().flat_map(|(_, sentences)| *sentences).collect();
    for sentence in sentences {
        assert!(passes(sentence, move || subject(none)), "{sentence}");
    }
}

#[test]
fn every_broken_store_fails_by_the_sentence_it_breaks() {
    assert_found_out(fault::SENTENCES, BrokenStore::subject);
}

#[test]
fn a_store_that_works_for_a_few_fails_by_the_sentence_it_breaks() {
    assert_found_out(scale::SENTENCES, scale::subject);
}

#[test]
fn a_store_that_breaks_a_promise_fails_by_its_sentence() {
    assert_found_out(promises::SENTENCES, promises::subject);
}

#[test]
fn the_same_store_without_a_fault_passes() {
    for case in rsvp_testkit::CASES {
        assert!(passes(case.name, || BrokenStore::subject(Fault::None)), "{}", case.name);
    }
}

#[test]
fn a_store_that_works_for_many_passes() {
    assert_kept(scale::Fault::None, scale::SENTENCES, scale::subject);
}

#[test]
fn a_store_that_keeps_its_promises_passes() {
    assert_kept(promises::Fault::None, promises::SENTENCES, promises::subject);
}

#[test]
fn an_exception_needs_a_case_and_a_reason() {
    let subject = || async { BrokenStore::subject(Fault::NeverReady) };
    let run = |exceptions: &[(&str, &str)]| {
        let run = || rsvp_testkit::run("a_ready_store_says_so", subject, "", exceptions);
        catch_unwind(AssertUnwindSafe(run)).is_ok()
    };
    assert!(run(&[("a_ready_store_says_so", "it never is")]));
    assert!(!run(&[("a_ready_store_says_so", " ")]));
    assert!(!run(&[("no_such_case", "it never is")]));
    assert!(!run(&[]));
}
