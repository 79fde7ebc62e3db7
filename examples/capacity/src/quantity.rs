//! Numbers as people write them: `100M`, `10k`, `1.5G`.

use std::fmt;

/// The largest number that is read. Products of a few of these stay far below the limits of `f64`.
const LARGEST: f64 = 1e12;

const SUFFIXES: [(char, f64); 5] = [('k', 1e3), ('K', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12)];

/// The reason why a text is not a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.text, self.reason)
    }
}

impl std::error::Error for QuantityError {}

/// Reads a number above 0 and of at most 1T, such as `250`, `1_000`, `2.5`, `10k`, `100M`, `1.5G`.
///
/// ```
/// use rsvp_capacity::parse_quantity;
///
/// assert_eq!(parse_quantity("1.5k"), Ok(1_500.0));
/// let error = parse_quantity("-3").unwrap_err();
/// assert_eq!(error.to_string(), "`-3` is not a number such as 250, 10k, 100M or 1.5G");
/// ```
///
/// # Errors
///
/// [`QuantityError`] if the text is not such a number, if it is 0, or if it is above 1T.
pub fn parse_quantity(text: &str) -> Result<f64, QuantityError> {
    let error = |reason| QuantityError { text: text.to_owned(), reason };
    let malformed = || error("is not a number such as 250, 10k, 100M or 1.5G");
    let suffix = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(*suffix));
    let digits = suffix.and_then(|(suffix, _)| text.strip_suffix(*suffix)).unwrap_or(text);
    let first = digits.chars().next().ok_or_else(malformed)?;
    // Neither a sign nor an exponent, `NaN` or `inf`, all of which `f64` would read.
    let legal = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | '_');
    if !first.is_ascii_digit() || !digits.chars().all(legal) {
        return Err(malformed());
    }
    let number: f64 = digits.replace('_', "").parse().map_err(|_| malformed())?;
    let number = number * suffix.map_or(1.0, |(_, factor)| *factor);
    match number {
        number if number <= 0.0 => Err(error("must be more than 0")),
        number if number > LARGEST => Err(error("is more than 1T, the most that this reads")),
        number => Ok(number),
    }
}

/// Reads a price, which may be 0.
pub(crate) fn parse_price(text: &str) -> Result<f64, QuantityError> {
    match text.parse::<f64>() {
        Ok(0.0) => Ok(0.0),
        _ => parse_quantity(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_a_suffix() {
        for (text, number) in [
            ("1", 1.0),
            ("0.5", 0.5),
            ("10k", 1e4),
            ("10K", 1e4),
            ("100M", 1e8),
            ("1.5G", 1.5e9),
            ("1T", 1e12),
            ("1_000", 1e3),
        ] {
            assert_eq!(parse_quantity(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_text() {
        let malformed = [
            "", "k", "M", "-1", "+1", "NaN", "nan", "inf", "infinity", "1e9", "10kk", "10 k",
            "0x10", "1,000", "1.2.3", ".5", "_1", "10m", "١٠", "10°",
        ];
        for text in malformed {
            let error = parse_quantity(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a number such as")), "{error}");
        }
        for text in ["0", "0.0", "0k", "0.0000M"] {
            let error = parse_quantity(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` must be more than 0"));
        }
        for text in ["1.1T", "1001G", "9999999999999", &"9".repeat(400), "1000T"] {
            let error = parse_quantity(text).unwrap_err().to_string();
            assert!(error.ends_with("is more than 1T, the most that this reads"), "{error}");
        }
    }

    #[test]
    fn a_price_may_be_nothing() {
        assert_eq!(parse_price("0"), Ok(0.0));
        assert_eq!(parse_price("2.5"), Ok(2.5));
        assert!(parse_price("-0.1").is_err());
    }
}
