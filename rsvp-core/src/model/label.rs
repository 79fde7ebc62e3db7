//! Labels: small facts that a store keeps about itself.

use std::fmt;
use std::str::FromStr;

use super::check_name;
use crate::{Error, Result};

/// The name of a label: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelName(String);

impl LabelName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `label` if the name is malformed.
    pub fn new(name: &str) -> Result<Self> {
        check_name("label", name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a label: UTF-8, 1 to 16,384 bytes, without control characters.
///
/// A store keeps labels about itself, such as the name of a shard and the fingerprint of the
/// placement that it belongs to. Nothing but
/// [`replace_label`](crate::RsvpStore::replace_label) changes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label(String);

impl Label {
    /// The longest value, in bytes.
    pub const MAX_BYTES: usize = 16_384;

    /// Checks a value.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `label` if the value is malformed.
    pub fn new(value: impl Into<String>) -> Result<Self> {
        let value = value.into();
        if value.is_empty() || value.len() > Self::MAX_BYTES || value.contains(char::is_control) {
            let reason = "is not 1 to 16384 bytes without control characters";
            return Err(Error::invalid_input("label", reason));
        }
        Ok(Self(value))
    }

    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LabelName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(value: &str) -> Result<Self> {
        Self::new(value)
    }
}
