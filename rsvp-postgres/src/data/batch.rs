//! A batch as statements of bounded size. Each of them succeeds or fails on its own.

use std::ops::Range;
use std::sync::OnceLock;

use futures_util::{StreamExt, stream};
use rsvp_core::backend::fail_all;
use rsvp_core::{Effect, Error, Operation, Result};

use crate::wire::failure::{content_code, waited_for_lock};
use crate::wire::work::Work;

/// The most entries of one statement. A larger one would take a noticeable part of the statement
/// timeout, and more memory than a server likes.
pub(crate) const LARGEST: usize = 4096;

/// The most statements of one batch at once, each on a connection of its own.
pub(crate) const AT_ONCE: usize = 4;

/// The most times that one statement is divided.
/// They suffice to find ten culprits among [`LARGEST`] entries in any position.
/// The remaining entries are not applied, and may be repeated.
const DIVISIONS: usize = 128;

/// The search ends after this number of single entries, if the server refused all of them alike.
/// Most likely it refuses every entry.
const ALIKE: usize = 16;

/// The most times that one statement is divided because of locks.
/// The remaining entries have waited for a lock, too.
const LOCK_DIVISIONS: usize = 64;

/// A work that can be divided, with an answer for each entry.
pub(crate) trait Batch: Work {
    /// Returns the number of entries.
    fn len(&self) -> usize;

    /// Returns the first `at` entries, and the others.
    fn split_at(&self, at: usize) -> (Self, Self);

    /// Returns two parts without a common lock, if there are any. Defaults to none.
    fn split_locked(&self) -> Option<(Self, Self)> {
        None
    }

    /// Returns all entries in statements of bounded size.
    fn bounded(self) -> impl Iterator<Item = Self> {
        let number = self.len().div_ceil(LARGEST);
        self.divide(number)
    }

    /// Returns all entries in `number` parts of about the same size.
    fn divide(self, number: usize) -> impl Iterator<Item = Self> {
        let entries = self.len();
        let mut rest = self;
        (0..number).map(move |part| {
            let end = entries * (part + 1) / number - entries * part / number;
            let (first, others) = rest.split_at(end);
            rest = others;
            first
        })
    }
}

/// Returns the first `at` numbers of a range, and the others.
pub(super) fn split(range: &Range<usize>, at: usize) -> (Range<usize>, Range<usize>) {
    let middle = range.end.min(range.start + at);
    (range.start..middle, middle..range.end)
}

/// The number of entries in one statement, and their answer.
#[derive(Debug)]
pub(crate) struct Answered<A> {
    pub(crate) entries: usize,
    pub(crate) answer: Result<A>,
}

impl<A> Answered<A> {
    /// Returns a result for each entry. `each` takes an answer apart.
    pub(crate) fn results<T>(self, each: impl FnOnce(A) -> Vec<Result<T>>) -> Vec<Result<T>> {
        match self.answer {
            Ok(answer) => each(answer),
            Err(error) => fail_all(self.entries, &error),
        }
    }
}

/// Runs the parts of a batch by `run`, a few at once, and answers in their order.
///
/// If the store is unavailable, the remaining parts fail at once.
/// Each of them would wait as long to find out the same.
pub(crate) async fn run_all<B, A, F>(
    parts: impl Iterator<Item = B>,
    run: impl Fn(B) -> F,
) -> Vec<Answered<A>>
where
    B: Batch,
    F: Future<Output = Result<A>>,
{
    let (run, unavailable) = (&run, &OnceLock::new());
    let parts = parts.map(|part| run_part(part, run, unavailable));
    let answered: Vec<_> = stream::iter(parts).buffered(AT_ONCE).collect().await;
    answered.into_iter().flatten().collect()
}

/// Runs a part of a batch. If the server refuses it for its content or a lock, it is divided until
/// the culprit is alone.
async fn run_part<B, A, F>(
    part: B,
    run: &impl Fn(B) -> F,
    unavailable: &OnceLock<Error>,
) -> Vec<Answered<A>>
where
    B: Batch,
    F: Future<Output = Result<A>>,
{
    let (mut waiting, mut answered) = (vec![part], Vec::new());
    let mut search = Search::default();
    while let Some(part) = waiting.pop() {
        let entries = part.len();
        // 1. The error of another part, if it found the store unavailable.
        let answer = match unavailable.get() {
            Some(error) => Err(error.clone()),
            None => run(part.clone()).await,
        };
        search.note(entries, &answer);
        match answer {
            // 2. The halves of a refused part. The first one is next.
            Err(error) if entries > 1 && content_code(&error).is_some() => {
                if search.is_over() {
                    let answer = Err(undivided(error));
                    answered.push(Answered { entries, answer });
                    continue;
                }
                search.divisions += 1;
                let (first, second) = part.split_at(entries / 2);
                waiting.extend([second, first]);
            }
            // 3. The halves of a part that waited for a lock in vain. A lock then holds back only
            //    entries of its own event.
            Err(error)
                if waited_for_lock(&error)
                    && search.lock_divisions < LOCK_DIVISIONS
                    && let Some((first, second)) = part.split_locked() =>
            {
                search.lock_divisions += 1;
                waiting.extend([second, first]);
            }
            // 4. Any other answer stands for all entries of the part.
            answer => {
                if let Err(error @ Error::Unavailable { .. }) = &answer
                    && error.effect() == Effect::NotApplied
                {
                    // It was set before, or is set now.
                    let _ = unavailable.set(error.clone());
                }
                answered.push(Answered { entries, answer });
            }
        }
    }
    answered
}

/// The search for the culprits of one statement.
#[derive(Debug, Default)]
struct Search {
    divisions: usize,
    lock_divisions: usize,
    /// The SQLSTATE and number of the single entries that were refused alike.
    alike: Option<(String, usize)>,
    /// Another entry was accepted, or refused differently.
    varied: bool,
}

impl Search {
    /// Records the answer to a part of `entries` entries.
    fn note<A>(&mut self, entries: usize, answer: &Result<A>) {
        let code = answer.as_ref().err().and_then(content_code);
        match (code, &mut self.alike) {
            (Some(_), _) if entries > 1 => {}
            (Some(code), None) => self.alike = Some((code, 1)),
            (Some(code), Some((first, number))) if *first == code => *number += 1,
            _ => self.varied = true,
        }
    }

    /// Whether the search is given up, so that a refused part is not divided any more.
    fn is_over(&self) -> bool {
        let alike = self.alike.as_ref().is_some_and(|(_, number)| *number >= ALIKE);
        self.divisions >= DIVISIONS || (alike && !self.varied)
    }
}

/// The cause of the failure of an undivided part. Most of its entries may be innocent.
#[derive(Debug, thiserror::Error)]
#[error("too many entries of the batch were refused to find all of them")]
struct Undivided(#[source] Error);

/// Returns the failure of an undivided part. It is retryable, because some entries may succeed.
fn undivided(refusal: Error) -> Error {
    let operation = refusal.operation().unwrap_or(Operation::Write);
    Error::backend(operation, Effect::NotApplied, true, Undivided(refusal))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::sql::Statements;
    use crate::wire::connection::Connection;
    use crate::wire::failure::{WorkError, failure};

    /// Entries that are numbers.
    #[derive(Clone, Debug)]
    struct Numbers(Range<usize>);

    impl Work for Numbers {
        type Answer = ();

        fn operation(&self) -> Operation {
            Operation::Write
        }

        async fn run(&self, _: &mut Connection, _: &Statements) -> Result<(), WorkError> {
            Ok(())
        }
    }

    impl Batch for Numbers {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn split_at(&self, at: usize) -> (Self, Self) {
            let (first, second) = split(&self.0, at);
            (Self(first), Self(second))
        }
    }

    /// The driver's error for a statement that the server refuses with this SQLSTATE.
    fn refused(code: &'static str) -> Error {
        #[derive(Debug, thiserror::Error)]
        #[error("refused")]
        struct Refused(&'static str);

        impl sqlx::error::DatabaseError for Refused {
            fn message(&self) -> &str {
                "refused"
            }
            fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
                Some(self.0.into())
            }
            fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
                self
            }
            fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
                self
            }
            fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
                self
            }
            fn kind(&self) -> sqlx::error::ErrorKind {
                sqlx::error::ErrorKind::Other
            }
        }

        let error = sqlx::Error::Database(Box::new(Refused(code)));
        failure(Operation::Write, error.into(), std::time::Duration::ZERO).error
    }

    /// Runs all numbers below `entries` on a server that refuses the `culprits`.
    /// Returns the numbers that failed, and the number of statements.
    async fn failed(entries: usize, culprits: &[usize], code: &'static str) -> (Vec<usize>, usize) {
        let (results, statements) = results(entries, culprits, code).await;
        let failed = (0..).zip(results).filter(|(_, result)| result.is_err());
        (failed.map(|(entry, _)| entry).collect(), statements)
    }

    /// As [`failed`], with the results of all numbers.
    async fn results(
        entries: usize,
        culprits: &[usize],
        code: &'static str,
    ) -> (Vec<Result<()>>, usize) {
        let statements = AtomicUsize::new(0);
        let answered = run_all(Numbers(0..entries).bounded(), async |part: Numbers| {
            statements.fetch_add(1, Ordering::Relaxed);
            match culprits.iter().any(|culprit| part.0.contains(culprit)) {
                true => Err(refused(code)),
                false => Ok(()),
            }
        })
        .await;
        let results = answered.into_iter().flat_map(|part| {
            let entries = part.entries;
            part.results(|()| (0..entries).map(|_| Ok(())).collect())
        });
        let results: Vec<_> = results.collect();
        assert_eq!(results.len(), entries, "each entry has a result");
        (results, statements.into_inner())
    }

    #[tokio::test]
    async fn a_statement_is_divided_until_the_culprit_is_alone() {
        for culprits in [vec![0], vec![4095], vec![4096], vec![5, 6, 700, 8000]] {
            let (failed, statements) = failed(10_000, &culprits, "22P05").await;
            assert_eq!(failed, culprits);
            assert!(statements <= 3 + culprits.len() * 2 * 12, "{statements}");
        }
    }

    #[tokio::test]
    async fn the_statements_are_bounded_however_many_are_refused() {
        let culprits: Vec<_> = (0..LARGEST).step_by(7).collect();
        let (failed, statements) = failed(LARGEST, &culprits, "23514").await;
        assert!(statements <= 2 * DIVISIONS + 1, "{statements}");
        let failed: BTreeSet<_> = failed.into_iter().collect();
        assert!(culprits.iter().all(|culprit| failed.contains(culprit)));
    }

    #[tokio::test]
    async fn entries_that_were_not_found_guilty_may_be_repeated() {
        let culprits: Vec<_> = (0..LARGEST).step_by(7).collect();
        let (results, _) = results(LARGEST, &culprits, "23514").await;
        for (entry, result) in results.into_iter().enumerate().filter(|(_, result)| result.is_err())
        {
            let error = result.unwrap_err();
            assert_eq!(error.effect(), Effect::NotApplied);
            assert!(culprits.contains(&entry) || error.is_retryable(), "{entry}: {error:?}");
        }
    }

    #[tokio::test]
    async fn the_search_ends_early_when_everything_is_refused() {
        let all: Vec<_> = (0..LARGEST).collect();
        let (results, statements) = results(LARGEST, &all, "P0001").await;
        assert!(statements <= 64, "{statements}");
        let (last, first) = (results.last().unwrap(), results.first().unwrap());
        assert!(!first.as_ref().unwrap_err().is_retryable());
        assert!(last.as_ref().unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_statement_that_fails_for_another_reason_is_not_divided() {
        let (failed, statements) = failed(LARGEST, &[7], "40001").await;
        assert_eq!((failed.len(), statements), (LARGEST, 1));
    }

    #[tokio::test]
    async fn nothing_more_is_tried_on_a_store_that_is_unavailable() {
        let tried = Mutex::new(0);
        let answered = run_all(Numbers(0..100 * LARGEST).bounded(), async |_: Numbers| {
            *tried.lock().unwrap() += 1;
            Err::<(), _>(Error::unavailable(Operation::Write, Effect::NotApplied, None))
        })
        .await;
        assert_eq!(answered.len(), 100);
        assert!(answered.iter().all(|part| part.answer.is_err()));
        assert!(*tried.lock().unwrap() <= AT_ONCE);
    }
}
