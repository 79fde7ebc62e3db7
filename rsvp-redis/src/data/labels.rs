//! Labels, the facts of a store about itself, with one key for each.

use redis::{Value, cmd};
use rsvp_core::{Error, Label, LabelName, Operation, Result};

use crate::data::keys::Keys;
use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;
use crate::wire::compare_and_set::Replacement;
use crate::wire::request::{Dispatch, Request};

/// The label of a name.
pub(crate) async fn read(
    servers: &impl Dispatch,
    keys: &Keys,
    call: Call,
    name: &LabelName,
) -> Result<Option<Label>> {
    let key = keys.label(name);
    let request = Request::read(key.slot, cmd("GET").arg(&key.name).to_owned());
    match servers.run_one(call, request).await?.into_value() {
        Some(Value::Nil) => Ok(None),
        Some(Value::BulkString(value)) => stored(call.operation, value).map(Some),
        _ => Err(Error::corrupt(call.operation, "unexpected reply to GET")),
    }
}

/// Sets a label if it holds `expected`, and returns it as it was before.
pub(crate) async fn replace(
    servers: &ClusterClient,
    keys: &Keys,
    call: Call,
    name: &LabelName,
    expected: Option<&Label>,
    value: &Label,
) -> Result<Option<Label>> {
    let key = keys.label(name);
    let replacement = Replacement {
        slot: key.slot,
        key: key.name,
        expected: expected.map(|label| label.as_str().to_owned()),
        value: value.as_str().to_owned(),
    };
    let before = servers.compare_and_set(call, &replacement).await?;
    before.map(|value| stored(call.operation, value)).transpose()
}

fn stored(operation: Operation, value: Vec<u8>) -> Result<Label> {
    let value = String::from_utf8(value).ok().and_then(|value| Label::new(value).ok());
    value.ok_or_else(|| Error::corrupt(operation, "a stored label is malformed"))
}
