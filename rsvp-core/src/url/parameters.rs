//! The parameters of a URL.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::store_url::{decoded, malformed};
use crate::{Error, Result};

/// The parameters of a URL: `name=value&name=value`.
///
/// Each reader takes the parameters that it knows.
/// [`finish`](Self::finish) refuses a parameter that nobody has taken,
/// and lists all names that were asked for.
///
/// ```
/// use rsvp_core::url::Parameters;
///
/// let mut parameters = Parameters::parse("pool_size=20&migrate=true&color=red")?;
/// assert_eq!(parameters.take_parsed::<u32>("pool_size", "a number")?, Some(20));
/// assert_eq!(parameters.take_flag("migrate")?, Some(true));
/// assert_eq!(parameters.take("schema")?, None);
/// assert_eq!(
///     parameters.finish().unwrap_err().to_string(),
///     "invalid url: unknown parameter `color`; supported: `pool_size`, `migrate`, `schema`",
/// );
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// `Debug` shows nothing, since a value may be a password.
#[derive(Clone, Default)]
pub struct Parameters {
    /// The parameters not taken yet, in order.
    rest: Vec<(String, String)>,
    /// The names asked for, in order.
    supported: Vec<&'static str>,
}

impl Parameters {
    /// Parses a query without its question mark. Names and values may be percent-encoded.
    /// A parameter without `=` has an empty value.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`. The message never repeats the query.
    pub fn parse(query: &str) -> Result<Self> {
        if query.contains('@') {
            // A password with a question mark that is not encoded would end up here.
            return Err(malformed("has an @ or a / that is not percent-encoded"));
        }
        let parameter = |text: &str| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            Ok((decoded(name)?, decoded(value)?))
        };
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let rest = parameters.map(parameter).collect::<Result<_>>()?;
        Ok(Self { rest, supported: Vec::new() })
    }

    /// Takes the values of a parameter that may be specified more than once.
    pub fn take_all(&mut self, name: &'static str) -> Vec<String> {
        if !self.supported.contains(&name) {
            self.supported.push(name);
        }
        let (taken, rest) =
            std::mem::take(&mut self.rest).into_iter().partition(|(own, _)| own == name);
        self.rest = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes the value of a parameter.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with this field if the parameter is specified more than once.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>> {
        let mut values = self.take_all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Error::invalid_input(name, "is specified more than once")),
        }
    }

    /// Takes the value of a parameter and parses it. `expected` names its type in the error, such
    /// as "a number".
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with this field if the parameter is malformed or specified more
    /// than once.
    pub fn take_parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>> {
        let parse = |value: String| {
            value.parse().map_err(|_| Error::invalid_input(name, format!("is not {expected}")))
        };
        self.take(name)?.map(parse).transpose()
    }

    /// Takes a parameter with the value `true` or `false`.
    ///
    /// # Errors
    ///
    /// As [`take_parsed`](Self::take_parsed).
    pub fn take_flag(&mut self, name: &'static str) -> Result<Option<bool>> {
        self.take_parsed(name, "true or false")
    }

    /// Takes a duration in whole milliseconds or seconds, such as `500ms` or `2s`.
    ///
    /// # Errors
    ///
    /// As [`take_parsed`](Self::take_parsed).
    pub fn take_duration(&mut self, name: &'static str) -> Result<Option<Duration>> {
        let parsed: Option<Millis> = self.take_parsed(name, "a duration such as 500ms or 2s")?;
        Ok(parsed.map(|Millis(duration)| duration))
    }

    /// Takes a duration. A number without a unit is in seconds, as in the tools of some engines.
    ///
    /// # Errors
    ///
    /// As [`take_parsed`](Self::take_parsed).
    pub fn take_seconds(&mut self, name: &'static str) -> Result<Option<Duration>> {
        let parsed: Option<Seconds> =
            self.take_parsed(name, "a duration such as 500ms, 2s or 2")?;
        Ok(parsed.map(|Seconds(duration)| duration))
    }

    /// Checks that no parameter is left.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`.
    /// It names the first unknown parameter and lists the supported ones.
    pub fn finish(&self) -> Result<()> {
        let Some((name, _)) = self.rest.first() else { return Ok(()) };
        let unknown = if is_plain(name) {
            format!("unknown parameter `{name}`")
        } else {
            "unknown parameter".to_owned()
        };
        let supported: Vec<String> =
            self.supported.iter().map(|name| format!("`{name}`")).collect();
        if supported.is_empty() {
            return Err(malformed(&format!("{unknown}; no parameter is supported")));
        }
        Err(malformed(&format!("{unknown}; supported: {}", supported.join(", "))))
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").finish_non_exhaustive()
    }
}

/// Whether a text looks like the name of a parameter. Any other text may be a part of a secret.
fn is_plain(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(legal)
}

/// A duration of a parameter.
struct Millis(Duration);

impl FromStr for Millis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |digits: &str| digits.parse::<u32>().map(u64::from).map_err(|_| ());
        if let Some(digits) = text.strip_suffix("ms") {
            return Ok(Self(Duration::from_millis(number(digits)?)));
        }
        let digits = text.strip_suffix('s').ok_or(())?;
        Ok(Self(Duration::from_secs(number(digits)?)))
    }
}

/// A duration with an optional unit.
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.parse::<u32>() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds.into()))),
            Err(_) => text.parse().map(|Millis(duration)| Self(duration)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Parameters {
        Parameters::parse(query).unwrap()
    }

    #[test]
    fn a_number_without_a_unit_may_be_in_seconds() {
        for (query, seconds) in [("a=10", 10_000), ("a=10s", 10_000), ("a=10ms", 10)] {
            let taken = parsed(query).take_seconds("a").unwrap();
            assert_eq!(taken, Some(Duration::from_millis(seconds)), "{query}");
        }
        assert!(parsed("a=1m").take_seconds("a").is_err());
        assert!(parsed("a=10").take_duration("a").is_err());
    }

    #[test]
    fn names_and_values_are_decoded() {
        let mut parameters = parsed("&%61b=c%26d&e");
        assert_eq!(parameters.take("ab").unwrap().as_deref(), Some("c&d"));
        assert_eq!(parameters.take("e").unwrap().as_deref(), Some(""));
        parameters.finish().unwrap();
    }

    #[test]
    fn a_parameter_that_is_specified_more_than_once_is_refused() {
        let error = parsed("a=1&b=2&a=1").take("a").unwrap_err();
        assert_eq!(error.to_string(), "invalid a: is specified more than once");
        assert_eq!(parsed("a=1&b=2&a=3").take_all("a"), ["1", "3"]);
    }

    #[test]
    fn an_unknown_parameter_is_named_beside_the_supported_ones() {
        let mut parameters = parsed("coalese=true&retry=1s");
        parameters.take("retry").unwrap();
        parameters.take("coalesce").unwrap();
        assert_eq!(
            parameters.finish().unwrap_err().to_string(),
            "invalid url: unknown parameter `coalese`; supported: `retry`, `coalesce`"
        );
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_not_repeated() {
        for query in ["Hunter2", "hunter2", "hunter%20x", &"h".repeat(33)] {
            let message = parsed(query).finish().unwrap_err().to_string();
            assert_eq!(message, "invalid url: unknown parameter; no parameter is supported");
        }
    }

    #[test]
    fn durations_are_whole_milliseconds_or_seconds() {
        let duration = |text: &str| parsed(&format!("t={text}")).take_duration("t");
        assert_eq!(duration("1ms").unwrap(), Some(Duration::from_millis(1)));
        assert_eq!(duration("3600s").unwrap(), Some(Duration::from_secs(3600)));
        for text in ["", "s", "ms", "2", "1m", "1.5s", "-1s", "4294967296s", "2 s"] {
            let message = duration(text).unwrap_err().to_string();
            assert_eq!(message, "invalid t: is not a duration such as 500ms or 2s");
        }
    }
}
