//! Figures as people read them.

use std::time::Duration;

/// A duration with three digits and its unit.
#[must_use]
pub fn duration(time: Duration) -> String {
    if time.is_zero() {
        return "0".to_owned();
    }
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        _ if seconds < 1e-6 => (seconds * 1e9, "ns"),
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    format!("{} {unit}", three_digits(number))
}

/// A number with three digits after which nothing is left out that would matter.
#[must_use]
pub fn three_digits(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A rate or a number of calls, with commas between thousands.
#[must_use]
pub fn thousands(number: f64) -> String {
    if number.abs() < 100.0 {
        return three_digits(number);
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown = [0, 820, 1_500, 48_200, 250_000, 12_000_000_000]
            .map(Duration::from_nanos)
            .map(duration);
        assert_eq!(shown, ["0", "820 ns", "1.5 µs", "48.2 µs", "250 µs", "12 s"]);
    }

    #[test]
    fn large_numbers_have_commas() {
        let shown = [0.0, 4.25, 999.0, 1_000.0, 1_234_567.0].map(thousands);
        assert_eq!(shown, ["0", "4.25", "999", "1,000", "1,234,567"]);
    }
}
