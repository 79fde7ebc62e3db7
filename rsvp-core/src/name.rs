//! The names of shards and observed stores.

use crate::{Error, Result};

/// The longest name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 64;

/// Checks a name that ends up in hashes and labels. It is not repeated, for it may be anything.
///
/// # Errors
///
/// [`Error::InvalidInput`] with `field`.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(Error::invalid_input(field, "is not 1 to 64 ASCII letters, digits, `.`, `_` and `-`"))
    }
}
