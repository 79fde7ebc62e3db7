//! Labels: small facts of a store about itself.

use std::fmt;
use std::str::FromStr;

use super::check_name;
use crate::{Error, Result};

/// The name of a label: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
///
/// ```
/// use rsvp_core::LabelName;
///
/// assert_eq!(LabelName::new("shard.name")?.as_str(), "shard.name");
/// assert!(LabelName::new("two words").is_err());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
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

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a label: UTF-8, 1 to 16,384 bytes, without control characters.
///
/// A store keeps labels about itself, such as the name of a shard
/// and the fingerprint of its placement.
/// Only [`replace_label`](crate::RsvpStore::replace_label) changes them.
///
/// ```
/// use rsvp_core::{Label, LabelName, ReadOptions, Result, RsvpStore, WriteOptions};
///
/// /// Names a new shard, and fails on one with another name.
/// async fn claim(store: &dyn RsvpStore) -> Result<bool> {
///     let (name, eu1) = (LabelName::new("shard")?, Label::new("eu1")?);
///     let before = store.replace_label(&name, None, &eu1, &WriteOptions::default()).await?;
///     Ok(before.is_none_or(|label| label == eu1))
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # assert!(claim(&rsvp_memory::MemoryStore::new()).await?);
/// # Ok(())
/// # }
/// ```
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

    /// Returns the value.
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
