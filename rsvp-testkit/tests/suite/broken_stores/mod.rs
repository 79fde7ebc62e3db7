//! Stores that are broken on purpose fail the suite, and by the sentence they break.

mod fault;
mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::fault::{Fault, SENTENCES};
use self::store::BrokenStore;

/// Whether a store with `fault` passes the case.
fn passes(fault: Fault, case: &'static str) -> bool {
    // Nothing that fails here is a regression to remember.
    let regressions = concat!(env!("CARGO_TARGET_TMPDIR"), "/expected-failures.txt");
    let make = move || async move { BrokenStore::subject(fault) };
    catch_unwind(AssertUnwindSafe(|| rsvp_testkit::run(case, make, regressions, &[]))).is_ok()
}

#[test]
fn every_broken_store_fails_by_the_sentence_it_breaks() {
    for (fault, sentences) in SENTENCES {
        for sentence in *sentences {
            assert!(!passes(*fault, sentence), "{fault:?} keeps {sentence}");
        }
    }
}

#[test]
fn the_same_store_without_a_fault_passes() {
    for case in rsvp_testkit::CASES {
        assert!(passes(Fault::None, case.name), "{}", case.name);
    }
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
