//! The inputs of the handlers. Each type also documents itself as parameters.

mod batch;
mod headers;
mod page;
mod path;

pub(crate) use self::batch::{Batch, Entries};
pub(crate) use self::headers::{IdempotencyKey, SESSION_HEADER, Session, TimeLimit, only_header};
pub(crate) use self::page::PageQuery;
pub(crate) use self::path::{
    Caller, EventPath, OwnPath, PairPath, UserPath, not_the_caller, placeholder,
};

use rsvp_core::{Error, Result};

/// Decodes strictly. The extractors of axum would leave `%zz` as it is.
pub(crate) fn percent_decoded(field: &'static str, text: &[u8]) -> Result<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let (high, low) = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit));
            let malformed =
                || Error::invalid_input(field, "has a `%` without two hexadecimal digits");
            high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(malformed)?
        } else {
            byte
        });
    }
    Ok(decoded)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
