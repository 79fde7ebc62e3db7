//! One call made out of several: what goes where, the answers in order again, and what it means
//! when some of them fail.

use crate::{Effect, Error, Operation, Result};

/// The entries of a batch that go to one place, in the order of the batch.
#[derive(Debug)]
pub(crate) struct Part<E> {
    /// Where they go: a lane, a shard.
    pub(crate) to: usize,
    pub(crate) entries: Vec<E>,
    /// Where each entry stands in the batch.
    positions: Vec<usize>,
}

/// Divides a batch by where each entry goes, in the order of the places.
pub(crate) fn divide<E>(
    entries: impl IntoIterator<Item = E>,
    to: impl Fn(&E) -> usize,
) -> Vec<Part<E>> {
    let mut sorted: Vec<(usize, usize, E)> =
        entries.into_iter().enumerate().map(|(at, entry)| (to(&entry), at, entry)).collect();
    // Stable, so that the writes of a pair keep their order.
    sorted.sort_by_key(|(to, _, _)| *to);
    let mut parts: Vec<Part<E>> = Vec::new();
    for (to, at, entry) in sorted {
        match parts.last_mut() {
            Some(part) if part.to == to => {
                part.entries.push(entry);
                part.positions.push(at);
            }
            _ => parts.push(Part { to, entries: vec![entry], positions: vec![at] }),
        }
    }
    parts
}

impl<E> Part<E> {
    /// The entries, and where their answers belong.
    pub(crate) fn split(self) -> (Vec<E>, Vec<usize>) {
        (self.entries, self.positions)
    }
}

/// The answers of all parts in the order of the batch.
///
/// # Errors
///
/// [`Error::Corrupt`] if a part has fewer or more answers than entries.
pub(crate) fn in_order<A>(
    operation: Operation,
    parts: impl IntoIterator<Item = (Vec<usize>, Vec<A>)>,
) -> Result<Vec<A>> {
    let mut answers: Vec<(usize, A)> = Vec::new();
    for (positions, part) in parts {
        expect_answers(operation, positions.len(), part.len())?;
        answers.extend(positions.into_iter().zip(part));
    }
    answers.sort_by_key(|(at, _)| *at);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// # Errors
///
/// [`Error::Corrupt`] unless there are as many answers as questions.
pub(crate) fn expect_answers(operation: Operation, asked: usize, answers: usize) -> Result<()> {
    if answers == asked {
        return Ok(());
    }
    Err(Error::corrupt(operation, format!("{answers} answers to {asked} questions")))
}

/// What all parts answered, if all did.
///
/// # Errors
///
/// That of the first part that failed, or of the first that is not worth repeating: repeating the
/// whole would fail there again. Its effect is that of the whole: unknown as soon as any part may
/// have taken effect.
pub(crate) fn all<A>(parts: impl IntoIterator<Item = Result<A>>) -> Result<Vec<A>> {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    let mut effect = Effect::NotApplied;
    for part in parts {
        match part {
            Ok(answer) => {
                effect = Effect::Unknown;
                answers.push(answer);
            }
            Err(error) => {
                if error.effect() == Effect::Unknown {
                    effect = Effect::Unknown;
                }
                failures.push(error);
            }
        }
    }
    // The first of those that are equal.
    match failures.into_iter().min_by_key(Error::is_retryable) {
        None => Ok(answers),
        Some(error) => Err(error.with_effect(effect)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_come_back_in_the_order_of_the_batch(batch in prop::collection::vec(0..9_u8, 0..40)) {
            let parts = divide(batch.clone(), |entry| usize::from(*entry % 4));
            let answered = parts.into_iter().map(|part| {
                assert!(part.entries.iter().all(|entry| usize::from(*entry % 4) == part.to));
                let (entries, positions) = part.split();
                (positions, entries)
            });
            prop_assert_eq!(in_order(Operation::Write, answered).unwrap(), batch);
        }
    }

    #[test]
    fn a_part_that_answers_too_little_is_an_error() {
        let parts = [(vec![0, 1], vec!['a'])];
        let error = in_order(Operation::HasRsvped, parts).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn the_whole_is_not_applied_only_if_no_part_is() {
        let refused = || Err::<(), _>(Error::overloaded(Operation::Write));
        let lost = || Err(Error::unavailable(Operation::Write, Effect::Unknown, None));
        let effect = |parts: Vec<Result<()>>| all(parts).unwrap_err().effect();
        assert_eq!(effect(vec![refused(), refused()]), Effect::NotApplied);
        assert_eq!(effect(vec![refused(), Ok(())]), Effect::Unknown);
        assert_eq!(effect(vec![Ok(()), refused()]), Effect::Unknown);
        assert_eq!(effect(vec![refused(), lost()]), Effect::Unknown);
        assert_eq!(all(vec![Ok(1), Ok(2)]).unwrap(), [1, 2]);
    }

    #[test]
    fn what_is_not_worth_repeating_decides() {
        let refused = Err(Error::overloaded(Operation::Write));
        let corrupt = Err(Error::corrupt(Operation::Write, "something"));
        let error = all::<()>([refused, corrupt]).unwrap_err();
        assert!(!error.is_retryable(), "{error}");
    }

    #[test]
    fn a_failed_read_took_no_effect_whatever_the_other_parts_did() {
        let late =
            Error::timed_out(Operation::HasRsvped, std::time::Duration::ZERO, Effect::Unknown);
        assert_eq!(all([Ok(()), Err(late)]).unwrap_err().effect(), Effect::NotApplied);
    }
}
