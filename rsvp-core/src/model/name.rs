//! The alphabet of the names of shards, observed stores and key prefixes.

use crate::{Error, Result};

/// The length of the longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Checks a name for use in hashes, keys or labels of metrics.
///
/// ```
/// use rsvp_core::backend::check_name;
///
/// check_name("shard", "eu-1")?;
/// assert!(check_name("shard", "eu 1").is_err());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with this field unless the name is 1 to 64 ASCII letters, digits, `.`,
/// `_` and `-`. The message does not repeat the name, because it may be part of a password.
pub fn check_name(field: &'static str, name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(Error::invalid_input(field, "is not 1 to 64 ASCII letters, digits, `.`, `_` and `-`"))
    }
}
