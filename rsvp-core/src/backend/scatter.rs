//! One call made out of several: partition, reorder, combine.

use crate::{Effect, Error, Operation, Result};

/// The entries of a batch that go to one target, in the order of the batch.
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
/// Each part gives the places of its entries and as many answers.
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

/// Checks that a store gave an answer to each entry.
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

/// Combines the results of all parts into one.
///
/// # Errors
///
/// That of [`combine_errors`], where a part that succeeded counts as applied.
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

/// The error of a call of which some parts failed; `None` if none did.
///
/// It is the first error that is not retryable, since repeating the whole call would fail there
/// again, and otherwise the first. Its effect is that of the whole call. The effect is unknown if
/// that of any part is, or if another part was `applied`.
pub fn combine_errors(failures: impl IntoIterator<Item = Error>, applied: bool) -> Option<Error> {
    let failures: Vec<Error> = failures.into_iter().collect();
    let unknown = applied || failures.iter().any(|error| error.effect() == Effect::Unknown);
    // Of those that are equal, the first.
    let error = failures.into_iter().min_by_key(Error::is_retryable)?;
    Some(if unknown { error.with_effect(Effect::Unknown) } else { error })
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
