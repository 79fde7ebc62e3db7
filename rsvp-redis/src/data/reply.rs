//! Values of replies as numbers, flags and text. `None` if a reply is malformed.

use redis::Value;
use rsvp_core::{Error, Operation, Result};

/// A zero or a one.
pub(crate) fn flag(value: Value) -> Option<bool> {
    match value {
        Value::Int(0) | Value::Boolean(false) => Some(false),
        Value::Int(1) | Value::Boolean(true) => Some(true),
        _ => None,
    }
}

/// An array of zeros and ones.
pub(crate) fn flags(value: Value) -> Option<Vec<bool>> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(flag).collect()
}

/// A number of members or fields.
pub(crate) fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Int(size) => u64::try_from(*size).ok(),
        _ => None,
    }
}

/// A member, a field or a cursor. `None` also if it is not UTF-8.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The next cursor and the entries, from the reply to a command of the `SCAN` family.
pub(crate) fn scan(value: Value) -> Option<(u64, Vec<Value>)> {
    let Value::Array(reply) = value else { return None };
    let [next, entries] = <[Value; 2]>::try_from(reply).ok()?;
    match entries {
        Value::Array(entries) | Value::Set(entries) => Some((text(next)?.parse().ok()?, entries)),
        _ => None,
    }
}

/// One flag for each value.
pub(crate) fn each_flag(
    operation: Operation,
    values: impl Iterator<Item = Value>,
) -> Result<Vec<bool>> {
    let values = values.map(flag);
    let unexpected = || Error::corrupt(operation, "unexpected reply to SISMEMBER or HEXISTS");
    values.map(|flag| flag.ok_or_else(unexpected)).collect()
}
