//! The runner of a case.

use std::future::Future;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::list::CASES;
use super::subject::{Subject, Trial};

/// The longest time of a case. A hanging store fails instead of blocking its tests.
const DEADLINE: Duration = Duration::from_secs(120);

/// The environment variable that fixes the seed of the randomised cases.
pub const SEED_VARIABLE: &str = "RSVP_TESTKIT_SEED";

/// Runs one case of the suite against a fresh store, on a runtime of its own.
///
/// The [`conformance!`](crate::conformance) macro writes one test for each case.
/// The test calls this function.
///
/// # Panics
///
/// If the store breaks the sentence, takes longer than two minutes, or no such case exists.
pub fn run<F: Future<Output = Subject>>(
    name: &'static str,
    make: impl FnOnce() -> F + Send + 'static,
    regressions: &'static str,
    exceptions: &[(&str, &str)],
) {
    // A misspelt exception would silently except nothing.
    for (excepted, _) in exceptions {
        let known = CASES.iter().any(|case| case.name == *excepted);
        assert!(known, "the exception {excepted:?} is for a case that does not exist");
    }
    if let Some((_, reason)) = exceptions.iter().find(|(excepted, _)| *excepted == name) {
        assert!(!reason.trim().is_empty(), "an exception needs a reason");
        println!("not required of this store: {reason}");
        return;
    }
    let case = CASES.iter().find(|case| case.name == name).expect("a case of the suite");
    let seed = seed();
    // The seed goes to the output, which a failed test prints.
    println!("{SEED_VARIABLE}={seed}");
    // On a thread of its own, so that a store that blocks its thread fails in time as well.
    let (over, is_over) = mpsc::channel();
    let running = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let trial = Trial::new(make().await, seed, regressions);
            (case.run)(&trial).await;
        });
        let _ = over.send(());
    });
    match is_over.recv_timeout(DEADLINE) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("{name} was not over after {DEADLINE:?}"),
        // The sender is dropped without a message, so the case has panicked. Pass its panic on.
        Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = running.expect("a thread").join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Returns the seed of this run, random unless [`SEED_VARIABLE`] is set.
///
/// # Panics
///
/// If the variable is not a number.
///
/// ```
/// use rand::{Rng, SeedableRng, rngs::StdRng};
///
/// let seed = rsvp_testkit::seed();
/// println!("seed {seed}");
/// let mut random = StdRng::seed_from_u64(seed);
/// let _user = random.random_range(0..100);
/// ```
pub fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().expect("the seed is a number"),
        Err(_) => rand::random(),
    }
}
