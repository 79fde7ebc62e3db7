//! The ids of users and events.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use smol_str::{SmolStr, ToSmolStr};

use crate::{Error, Result};

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 255;

fn check(field: &'static str, id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid_input(field, "is empty; an id has 1 to 255 bytes"));
    }
    if id.len() > MAX_ID_BYTES {
        let reason = format!("has {} bytes; an id has 1 to {MAX_ID_BYTES}", id.len());
        return Err(Error::invalid_input(field, reason));
    }
    if let Some((at, control)) = id.char_indices().find(|(_, c)| c.is_control()) {
        let code = u32::from(control);
        let reason = format!("has the control character U+{code:04X} at byte {at}");
        return Err(Error::invalid_input(field, reason));
    }
    Ok(())
}

macro_rules! id {
    ($name:ident, $field:literal, $of:literal) => {
        #[doc = concat!("The id of ", $of, ": UTF-8, 1 to 255 bytes, no control characters.")]
        ///
        /// Every other text is legal and is kept byte for byte, without case folding, trimming or
        /// Unicode normalisation. The constructor checks the id, so a store never sees an unchecked one.
        /// Ids of up to 23 bytes are stored inline. Longer ones are shared, so a clone never copies
        /// text to the heap. Ids are ordered by their bytes.
        ///
        /// With the feature `serde` an id is a string. An integer of at most 64 bits is accepted
        /// too, and becomes its decimal digits. Formats that guess types, such as CSV and YAML, give
        /// `007` as the integer 7. Read ids of these formats as a `String` first.
        ///
        /// ```
        #[doc = concat!("use rsvp_core::", stringify!($name), ";")]
        ///
        #[doc = concat!("let id: ", stringify!($name), " = \"Ünïted / {1} 🎉\".parse()?;")]
        /// assert_eq!(id.as_str(), "Ünïted / {1} 🎉");
        #[doc = concat!("assert_eq!(", stringify!($name), "::from(7_u64).as_str(), \"7\");")]
        #[doc = concat!("assert!(", stringify!($name), "::new(\"line\\nbreak\").is_err());")]
        /// # Ok::<(), rsvp_core::Error>(())
        /// ```
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks `id`.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`Error::InvalidInput`] with the field `", $field, "`: empty, longer")]
            /// than 255 bytes, or a control character (Unicode category Cc) in it.
            pub fn new(id: impl AsRef<str>) -> Result<Self> {
                let id = id.as_ref();
                check($field, id)?;
                Ok(Self(SmolStr::new(id)))
            }

            /// Checks bytes from outside, such as a header or a column.
            ///
            /// # Errors
            ///
            /// As [`new`](Self::new), and if the bytes are not UTF-8.
            pub fn from_utf8(id: &[u8]) -> Result<Self> {
                match std::str::from_utf8(id) {
                    Ok(id) => Self::new(id),
                    Err(error) => {
                        let at = error.valid_up_to();
                        Err(Error::invalid_input($field, format!("is not UTF-8 at byte {at}")))
                    }
                }
            }

            /// Returns the id unchanged.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        // `Hash`, `Eq` and `Ord` are those of the text, so maps may be asked by `&str`.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(id: &str) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(id: &str) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(id: String) -> Result<Self> {
                Self::new(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        id!(@integers $name: u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

        #[cfg(feature = "uuid")]
        impl From<uuid::Uuid> for $name {
            /// Takes the hyphenated form in lower case.
            fn from(id: uuid::Uuid) -> Self {
                Self(id.to_smolstr())
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::model::text::deserialize_with_integers(deserializer)
            }
        }
    };
    (@integers $name:ident: $($integer:ty)*) => {$(
        impl From<$integer> for $name {
            /// Takes the decimal digits. They are always a legal id.
            fn from(id: $integer) -> Self {
                Self(id.to_smolstr())
            }
        }
    )*};
}

id!(UserId, "user_id", "a user");
id!(EventId, "event_id", "an event");

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn reason(id: &str) -> String {
        UserId::new(id).unwrap_err().to_string()
    }

    #[test]
    fn empty_long_and_control_characters_are_refused_by_name() {
        assert_eq!(reason(""), "invalid user_id: is empty; an id has 1 to 255 bytes");
        assert_eq!(reason(&"x".repeat(256)), "invalid user_id: has 256 bytes; an id has 1 to 255");
        for (id, at) in [("\0", 0), ("a\n", 1), ("é\u{7f}", 2), ("\u{85}", 0), ("\u{9f}", 0)] {
            assert!(reason(id).ends_with(&format!("at byte {at}")), "{}", reason(id));
        }
        let not_utf8 = EventId::from_utf8(b"ab\xff").unwrap_err();
        assert_eq!(not_utf8.to_string(), "invalid event_id: is not UTF-8 at byte 2");
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(UserId::new("é".repeat(127)).is_ok());
        assert!(UserId::new("é".repeat(128)).is_err());
        assert!(UserId::new("x".repeat(255)).is_ok());
    }

    #[test]
    fn integers_are_ids() {
        assert_eq!(UserId::from(i128::MIN).as_str(), i128::MIN.to_string());
        assert_eq!(EventId::from(0_u8).as_str(), "0");
    }

    #[test]
    fn maps_can_be_asked_by_text() {
        let id = UserId::from(1_u64);
        assert!(HashSet::from([id.clone()]).contains("1"));
        assert!(BTreeSet::from([id]).contains("1"));
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn uuids_are_ids_in_their_hyphenated_form() {
        let id = UserId::from(uuid::Uuid::from_u128(0xF));
        assert_eq!(id.as_str(), "00000000-0000-0000-0000-00000000000f");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_checks_what_it_reads() {
        let id: UserId = serde_json::from_str("\"a b\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"a b\"");
        assert!(serde_json::from_str::<UserId>("\"\"").is_err());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_takes_integers_for_their_digits() {
        for number in ["7", "-7", "18446744073709551615", "-9223372036854775808"] {
            let id: EventId = serde_json::from_str(number).unwrap();
            assert_eq!(id.as_str(), number);
        }
        for other in ["7.0", "1e3", "true", "null", "[7]", "{}", "18446744073709551616"] {
            assert!(serde_json::from_str::<EventId>(other).is_err(), "{other}");
        }
        let keys: std::collections::HashMap<UserId, u8> =
            serde_json::from_str("{\"007\":1}").unwrap();
        assert!(keys.contains_key("007"), "a key is text");
    }

    proptest! {
        #[test]
        fn text_is_legal_or_refused_and_never_changed(id in "\\PC{0,300}|\\p{any}{0,8}") {
            let legal = (1..=255).contains(&id.len()) && !id.chars().any(char::is_control);
            match UserId::new(&id) {
                Ok(kept) => { prop_assert!(legal); prop_assert_eq!(kept.as_str(), id) }
                Err(_) => prop_assert!(!legal),
            }
        }

        #[test]
        fn order_is_the_order_of_bytes(a in "\\PC{1,40}", b in "\\PC{1,40}") {
            let by_id = UserId::new(&a).ok().cmp(&UserId::new(&b).ok());
            prop_assert_eq!(by_id, a.as_bytes().cmp(b.as_bytes()));
        }
    }
}
