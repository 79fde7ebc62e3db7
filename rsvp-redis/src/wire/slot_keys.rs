//! The names of the keys in slots. None is missed while slots move.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Value, cmd};

use crate::wire::call_deadline::Call;
use crate::wire::client::ClusterClient;
use crate::wire::failure::Failure;
use crate::wire::handshake::text;
use crate::wire::node::Node;
use crate::wire::request::Request;
use crate::wire::slot::SLOTS;
use crate::wire::topology::parse_settled;

/// The most slots to ask a node for at once.
const MAX_SLOTS: u16 = 1024;
/// The allowance for new keys of a slot between the count and the names.
const GROWTH: u64 = 128;

/// The names of all keys in consecutive slots.
#[derive(Debug)]
pub(crate) struct SlotKeys {
    pub(crate) slots: Range<u16>,
    pub(crate) names: Vec<Vec<u8>>,
}

impl ClusterClient {
    /// The names of all keys in the slots from `first` on, about `keys` of them. The slots belong
    /// to one node, and there is at least one.
    ///
    /// If a key exists all the time, it is among them, also while its slot moves. After the owner,
    /// every primary is asked for a moving or just moved slot. A key moves from the owner to
    /// another node, so it is seen at one of the two.
    pub(crate) async fn keys_from(
        &self,
        call: Call,
        first: u16,
        keys: u64,
    ) -> Result<SlotKeys, Failure> {
        // Step 1: ask the owner of the first slot for the number of keys in its next slots.
        let topology = self.topology();
        let owner = topology.owner_of(first).ok_or(Failure::NoOwner)?;
        let end = first.saturating_add(MAX_SLOTS).min(SLOTS);
        let is_of_owner =
            |slot: &u16| topology.owner_of(*slot).is_some_and(|own| Arc::ptr_eq(own, owner));
        let slots: Vec<u16> = (first..end).take_while(is_of_owner).collect();
        let held = counts(owner, call, &slots).await?;
        // Step 2: ask it for the names in as many slots as fit, at least one.
        let mut total = 0;
        let fit = held.iter().take_while(|count| {
            total += **count;
            total <= keys
        });
        let number = fit.count().max(1);
        let asked = slots.iter().copied().zip(held).take(number);
        let mut names = names_in(owner, call, asked).await?;
        // Step 3: only after that, ask which slots the owner has kept. A slot kept now was complete
        // in step 2. The other way round it could have moved in between.
        let request = cmd("CLUSTER").arg("NODES").to_owned();
        let view = values(owner, call, vec![request]).await?.into_iter().next();
        let settled = parse_settled(&view.map(text).unwrap_or_default());
        let end = first.saturating_add(u16::try_from(number).unwrap_or(MAX_SLOTS));
        let moving: Vec<u16> = (first..end).filter(|slot| !settled.contains(slot)).collect();
        // Step 4: ask every primary for the other slots.
        if !moving.is_empty() {
            self.refresh(call).await?;
            let topology = self.topology();
            let elsewhere = topology.nodes.iter().map(async |node| {
                let held = counts(node, call, &moving).await?;
                names_in(node, call, moving.iter().copied().zip(held)).await
            });
            for more in join_all(elsewhere).await {
                names.extend(more?);
            }
        }
        Ok(SlotKeys { slots: first..end, names })
    }
}

async fn counts(node: &Node, call: Call, slots: &[u16]) -> Result<Vec<u64>, Failure> {
    let count = |slot: &u16| cmd("CLUSTER").arg("COUNTKEYSINSLOT").arg(*slot).to_owned();
    let values = values(node, call, slots.iter().map(count).collect()).await?;
    let number = |value: Value| match value {
        Value::Int(count) => u64::try_from(count).ok(),
        _ => None,
    };
    let counts: Option<Vec<u64>> = values.into_iter().map(number).collect();
    counts.ok_or(Failure::Malformed("unexpected reply to CLUSTER COUNTKEYSINSLOT"))
}

/// The keys of a node in slots, given with the number of keys at the last count.
async fn names_in(
    node: &Node,
    call: Call,
    slots: impl Iterator<Item = (u16, u64)>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut open: Vec<(u16, u64)> =
        slots.filter(|(_, count)| *count > 0).map(|(slot, count)| (slot, count + GROWTH)).collect();
    let mut names = Vec::new();
    while !open.is_empty() {
        let get = |(slot, most): &(u16, u64)| {
            cmd("CLUSTER").arg("GETKEYSINSLOT").arg(*slot).arg(*most).to_owned()
        };
        let replies = values(node, call, open.iter().map(get).collect()).await?;
        let mut grown = Vec::new();
        for ((slot, most), reply) in open.into_iter().zip(replies) {
            let Value::Array(keys) = reply else {
                return Err(Failure::Malformed("unexpected reply to CLUSTER GETKEYSINSLOT"));
            };
            // A reply with as many names as asked for may lack some. The slot is asked for again,
            // with twice the number.
            if keys.len() as u64 >= most {
                grown.push((slot, 2 * most));
                continue;
            }
            names.extend(keys.into_iter().filter_map(|key| match key {
                Value::BulkString(name) => Some(name),
                _ => None,
            }));
        }
        open = grown;
    }
    Ok(names)
}

/// The replies of one node to commands without a key.
async fn values(node: &Node, call: Call, commands: Vec<Cmd>) -> Result<Vec<Value>, Failure> {
    let requests: Vec<Request> =
        commands.into_iter().map(|command| Request::read(0, command)).collect();
    let answers = node.send(call, &requests, false).await.into_iter();
    let malformed = || Failure::Malformed("a command without a reply");
    answers.map(|answer| answer?.into_value().ok_or_else(malformed)).collect()
}
