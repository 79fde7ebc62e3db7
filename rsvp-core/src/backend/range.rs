//! Numbers and durations within their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Error, Result};

/// Checks that a setting lies within its range.
///
/// ```
/// use rsvp_core::backend::check_range;
///
/// check_range("pool_size", 20, 1..=1000)?;
/// let error = check_range("pool_size", 0, 1..=1000).unwrap_err();
/// assert_eq!(error.to_string(), "invalid pool_size: is not within 1 to 1000");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with this field if the value is outside of the range.
pub fn check_range<T: PartialOrd + Display>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Error::invalid_input(field, format!("is not within {least} to {most}")))
}

/// Checks that a timeout is within 1 ms to 1 h.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::backend::check_timeout;
///
/// assert!(check_timeout("connect_timeout", Duration::ZERO).is_err());
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with this field unless the timeout is within 1 ms to 1 h.
pub fn check_timeout(field: &'static str, timeout: Duration) -> Result<()> {
    if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&timeout) {
        Ok(())
    } else {
        Err(Error::invalid_input(field, "is not within 1ms to 3600s"))
    }
}
