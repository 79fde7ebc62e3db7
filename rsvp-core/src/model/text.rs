//! Serde for types with a checked text as their outside form.

#[cfg(feature = "serde")]
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: serde::Deserializer<'de>,
{
    use serde::Deserialize;
    use serde::de::Error;

    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// As [`deserialize`]. An integer becomes its decimal digits.
#[cfg(feature = "serde")]
pub(crate) fn deserialize_with_integers<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display> + From<u64> + From<i64>,
    D: serde::Deserializer<'de>,
{
    let visitor = TextOrInteger(std::marker::PhantomData);
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(visitor)
    } else {
        // A compact format does not say what comes next, and holds what was serialized: text.
        deserializer.deserialize_str(visitor)
    }
}

#[cfg(feature = "serde")]
struct TextOrInteger<T>(std::marker::PhantomData<T>);

#[cfg(feature = "serde")]
impl<T> serde::de::Visitor<'_> for TextOrInteger<T>
where
    T: std::str::FromStr<Err: std::fmt::Display> + From<u64> + From<i64>,
{
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or an integer")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(number.into())
    }
}

macro_rules! serde_as_text {
    ($name:ty) => {
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::model::text::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use serde_as_text;
