//! Numbers for people.

/// Digits in groups of three.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits.
pub(crate) fn rounded(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let places = 2 - number.abs().log10().floor() as i32;
    let unit = 10_f64.powi(places);
    let number = (number * unit).round() / unit;
    // The rounding may have made one digit more.
    match 2 - number.abs().log10().floor() as i32 {
        places if places <= 0 => grouped(number),
        places => {
            let text = format!("{number:.*}", places as usize);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Bytes in decimal units.
pub(crate) fn bytes(number: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = units.into_iter().find(|(size, _)| number >= *size * 0.9995);
    let (size, name) = unit.unwrap_or((1.0, "bytes"));
    format!("{} {name}", rounded(number / size))
}

/// US dollars a month.
pub(crate) fn dollars(number: f64) -> String {
    format!("${}", rounded(number))
}

/// A time in the unit that suits it.
pub(crate) fn seconds(number: f64) -> String {
    match number {
        number if number < 1.0 => format!("{} ms", rounded(number * 1e3)),
        number if number < 120.0 => format!("{} s", rounded(number)),
        number if number < 7200.0 => format!("{} min", rounded(number / 60.0)),
        number => format!("{} h", rounded(number / 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_kept() {
        let numbers = [0.0, 0.01234, 1.0, 2.5, 9.999, 12.34, 999.6, 1_234.0, 106_000.0, 1e9];
        let texts = numbers.map(rounded);
        let expected =
            ["0", "0.0123", "1", "2.5", "10", "12.3", "1,000", "1,230", "106,000", "1,000,000,000"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn bytes_and_times_have_units() {
        assert_eq!([bytes(140.0), bytes(1.4e11), bytes(999.9e9)], ["140 bytes", "140 GB", "1 TB"]);
        assert_eq!(
            [seconds(0.231), seconds(1.94), seconds(2592.0)],
            ["231 ms", "1.94 s", "43.2 min"]
        );
    }
}
