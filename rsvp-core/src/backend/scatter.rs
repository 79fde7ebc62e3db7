//! One call made out of several: partition, reorder, combine.

use crate::{Effect, Error, Operation, Result};

/// The entries of a batch for one target, in the order of the batch.
///
/// ```
/// use rsvp_core::backend::{Part, partition};
///
/// let parts: Vec<Part<&str>> = partition(["a", "bb", "c"], |entry| entry.len());
/// assert_eq!((parts[0].target, &parts[0].places), (1, &vec![0, 2]));
/// ```
#[derive(Debug)]
pub struct Part<E> {
    /// The target of the entries, such as a shard or a node.
    pub target: usize,
    /// The entries.
    pub entries: Vec<E>,
    /// The place of each entry in the batch.
    pub places: Vec<usize>,
}

/// Divides a batch by the target of each entry, in the order of the targets.
///
/// ```
/// use rsvp_core::Operation;
/// use rsvp_core::backend::{partition, reorder};
///
/// let parts = partition(["a", "bb", "c"], |entry| entry.len());
/// let answers = parts.into_iter().map(|part| {
///     let answers = part.entries.iter().map(|entry| entry.to_uppercase()).collect();
///     (part.places, answers)
/// });
/// assert_eq!(reorder(Operation::Write, answers)?, ["A", "BB", "C"]);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
pub fn partition<E>(
    entries: impl IntoIterator<Item = E>,
    target: impl Fn(&E) -> usize,
) -> Vec<Part<E>> {
    let entries = entries.into_iter().enumerate();
    let mut sorted: Vec<(usize, usize, E)> =
        entries.map(|(place, entry)| (target(&entry), place, entry)).collect();
    // Stable, so that the writes of a pair keep their order.
    sorted.sort_by_key(|(target, _, _)| *target);
    let mut parts: Vec<Part<E>> = Vec::new();
    for (target, place, entry) in sorted {
        match parts.last_mut() {
            Some(part) if part.target == target => {
                part.entries.push(entry);
                part.places.push(place);
            }
            _ => parts.push(Part { target, entries: vec![entry], places: vec![place] }),
        }
    }
    parts
}

/// Puts the answers of all parts into the order of the batch.
///
/// Each part consists of the places of its entries and of as many answers.
///
/// # Errors
///
/// [`Error::Corrupt`] if a part has fewer or more answers than entries.
pub fn reorder<A>(
    operation: Operation,
    parts: impl IntoIterator<Item = (Vec<usize>, Vec<A>)>,
) -> Result<Vec<A>> {
    let mut answers: Vec<(usize, A)> = Vec::new();
    for (places, part) in parts {
        check_answer_count(operation, places.len(), part.len())?;
        answers.extend(places.into_iter().zip(part));
    }
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Checks that the number of answers is the number of entries.
///
/// # Errors
///
/// [`Error::Corrupt`] if there are more or fewer answers than entries.
pub fn check_answer_count(operation: Operation, entries: usize, answers: usize) -> Result<()> {
    if answers == entries {
        return Ok(());
    }
    Err(Error::corrupt(operation, format!("{answers} answers to {entries} entries")))
}

/// Returns the results of a part that failed as a whole: the same error for each of its entries.
pub fn fail_all<A>(entries: usize, error: &Error) -> Vec<Result<A>> {
    (0..entries).map(|_| Err(error.clone())).collect()
}

/// Combines the results of all parts into one.
///
/// # Errors
///
/// As [`combine_errors`]. A part without an error counts as applied.
pub fn combine<A>(parts: impl IntoIterator<Item = Result<A>>) -> Result<Vec<A>> {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Ok(answer) => answers.push(answer),
            Err(error) => failures.push(error),
        }
    }
    match combine_errors(failures, !answers.is_empty()) {
        None => Ok(answers),
        Some(error) => Err(error),
    }
}

/// Combines the errors of the failed parts of a call. `None` if no part failed.
///
/// The result is the first error that is not retryable,
/// because a repetition of the whole call would fail there again.
/// If all are retryable, it is the first.
/// Its effect is the effect of the whole call: the [most uncertain](Effect::and) one of all parts,
/// and at least unknown if another part was `applied`.
pub fn combine_errors(failures: impl IntoIterator<Item = Error>, applied: bool) -> Option<Error> {
    let failures: Vec<Error> = failures.into_iter().collect();
    let of_others = if applied { Effect::Unknown } else { Effect::NotApplied };
    let effect = failures.iter().map(Error::effect).fold(of_others, Effect::and);
    // `min_by_key` returns the first of several equal ones, and `false` is less than `true`.
    let error = failures.into_iter().min_by_key(Error::is_retryable)?;
    Some(if effect == Effect::NotApplied { error } else { error.with_effect(effect) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_come_back_in_the_order_of_the_batch(batch in prop::collection::vec(0..9_u8, 0..40)) {
            let parts = partition(batch.clone(), |entry| usize::from(*entry % 4));
            let answered = parts.into_iter().map(|part| {
                assert!(part.entries.iter().all(|entry| usize::from(*entry % 4) == part.target));
                (part.places, part.entries)
            });
            prop_assert_eq!(reorder(Operation::Write, answered).unwrap(), batch);
        }
    }

    #[test]
    fn a_part_that_answers_too_little_is_an_error() {
        let parts = [(vec![0, 1], vec!['a'])];
        let error = reorder(Operation::HasRsvped, parts).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn the_whole_is_not_applied_only_if_no_part_is() {
        let refused = || Err::<(), _>(Error::overloaded(Operation::Write));
        let lost = || Err(Error::unavailable(Operation::Write, Effect::Unknown, None));
        let effect = |parts: Vec<Result<()>>| combine(parts).unwrap_err().effect();
        assert_eq!(effect(vec![refused(), refused()]), Effect::NotApplied);
        assert_eq!(effect(vec![refused(), Ok(())]), Effect::Unknown);
        assert_eq!(effect(vec![Ok(()), refused()]), Effect::Unknown);
        assert_eq!(effect(vec![refused(), lost()]), Effect::Unknown);
        assert_eq!(combine(vec![Ok(1), Ok(2)]).unwrap(), [1, 2]);
    }

    #[test]
    fn an_error_that_is_not_retryable_decides() {
        let refused = Err(Error::overloaded(Operation::Write));
        let corrupt = Err(Error::corrupt(Operation::Write, "something"));
        let error = combine::<()>([refused, corrupt]).unwrap_err();
        assert!(!error.is_retryable(), "{error}");
    }

    #[test]
    fn a_failed_read_took_no_effect_whatever_the_other_parts_did() {
        let late =
            Error::timed_out(Operation::HasRsvped, std::time::Duration::ZERO, Effect::Unknown);
        assert_eq!(combine([Ok(()), Err(late)]).unwrap_err().effect(), Effect::NotApplied);
    }
}
