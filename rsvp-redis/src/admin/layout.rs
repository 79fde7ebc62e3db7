//! The layout of the keys. All stores of a prefix must agree on it.

use redis::{Value, cmd};
use rsvp_core::{Error, Operation, Result};

use crate::data::keys::Keys;
use crate::wire::call_deadline::Call;
use crate::wire::request::{Dispatch, Request};

/// Records the layout when the first store is opened, and refuses stores with another layout.
pub(crate) async fn check(servers: &impl Dispatch, keys: &Keys) -> Result<()> {
    let (key, layout) = keys.layout();
    // The first store writes the layout and every store reads it, in one transaction. So two stores
    // with different layouts cannot both be the first.
    let set = cmd("SETNX").arg(&key.name).arg(&layout).to_owned();
    let get = cmd("GET").arg(&key.name).to_owned();
    let request = Request::transaction(key.slot, vec![set, get]);
    let answer = servers.run_one(Call::unbounded(Operation::Open), request).await?;
    match answer.values.into_iter().nth(1) {
        Some(Value::BulkString(found)) if found == layout.as_bytes() => Ok(()),
        _ => Err(Error::invalid_input(
            "event_spread",
            format!("is not that of the data; the key {} must say {layout:?}", key.name),
        )),
    }
}
