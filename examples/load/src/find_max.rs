//! The highest rate at which a condition holds.

use crate::Failure;

/// The search ends when the highest rate is known to this share of it.
const PRECISION: f64 = 0.05;
/// The search tries no more rates than this.
const TRIES: usize = 20;

/// The highest rate at which `holds`, within five hundredths: doubles or halves `first` until the answer
/// changes, and bisects then. `None` if it holds at no rate down to one call a second.
///
/// # Errors
///
/// The first error of `holds`.
pub async fn find_max(
    first: f64,
    mut holds: impl AsyncFnMut(f64) -> Result<bool, Failure>,
) -> Result<Option<f64>, Failure> {
    let (mut good, mut bad) = (None, None::<f64>);
    let mut rate = first.max(1.0);
    for _ in 0..TRIES {
        if holds(rate).await? {
            good = Some(rate);
        } else {
            bad = Some(rate);
        }
        rate = match (good, bad) {
            (Some(good), Some(bad)) if bad - good <= good * PRECISION => break,
            (Some(good), Some(bad)) => f64::midpoint(good, bad),
            (Some(good), None) => good * 2.0,
            (None, Some(bad)) if bad <= 1.0 => break,
            (None, _) => (rate / 2.0).max(1.0),
        };
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(first: f64, limit: f64) -> Option<f64> {
        find_max(first, async |rate| Ok(rate <= limit)).await.unwrap()
    }

    #[tokio::test]
    async fn the_highest_rate_is_found_from_below_and_from_above() {
        for first in [100.0, 100_000.0] {
            let rate = found(first, 7_300.0).await.unwrap();
            assert!((6_950.0..=7_300.0).contains(&rate), "{rate}");
        }
    }

    #[tokio::test]
    async fn a_condition_that_never_holds_has_no_highest_rate() {
        assert_eq!(found(1_000.0, 0.0).await, None);
    }
}
