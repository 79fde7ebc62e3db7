//! The owner of each slot, and how it is read from `CLUSTER SLOTS`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use redis::Value;
use rsvp_core::url::Host;

use crate::wire::slot::{SLOTS, SlotRange};

/// The primaries, and the slots that each owns.
#[derive(Debug)]
pub(crate) struct Topology<N> {
    /// The primaries, ordered by their first slots.
    pub(crate) nodes: Vec<Arc<N>>,
    /// The address of each node.
    addresses: Vec<String>,
    /// The ranges in order, each with the index of its node.
    ranges: Vec<SlotRange<usize>>,
}

impl<N> Topology<N> {
    /// A topology in which nothing is known.
    pub(crate) fn empty() -> Self {
        Self { nodes: Vec::new(), addresses: Vec::new(), ranges: Vec::new() }
    }

    /// A topology in which one node owns every slot.
    pub(crate) fn single(address: String, node: Arc<N>) -> Self {
        let ranges = vec![SlotRange { first: 0, last: SLOTS - 1, owner: 0 }];
        Self { nodes: vec![node], addresses: vec![address], ranges }
    }

    /// The topology of `ranges`, whose nodes `node_at` makes or finds.
    pub(crate) fn of(
        ranges: &[SlotRange<Host>],
        mut node_at: impl FnMut(&Host) -> Option<Arc<N>>,
    ) -> Self {
        let mut topology = Self::empty();
        let mut indexes = BTreeMap::new();
        for SlotRange { first, last, owner } in ranges {
            let address = owner.to_string();
            let index = match indexes.get(&address) {
                Some(index) => *index,
                None => {
                    let Some(node) = node_at(owner) else { continue };
                    topology.nodes.push(node);
                    topology.addresses.push(address.clone());
                    indexes.insert(address, topology.nodes.len() - 1);
                    topology.nodes.len() - 1
                }
            };
            topology.ranges.push(SlotRange { first: *first, last: *last, owner: index });
        }
        topology
    }

    /// The node that owns a slot, if any is known to.
    pub(crate) fn owner_of(&self, slot: u16) -> Option<&Arc<N>> {
        let at = self.ranges.partition_point(|range| range.last < slot);
        let SlotRange { first, owner, .. } = self.ranges.get(at)?;
        if *first <= slot { self.nodes.get(*owner) } else { None }
    }

    /// Whether every slot has an owner.
    pub(crate) fn is_complete(&self) -> bool {
        let mut next = 0;
        for SlotRange { first, last, .. } in &self.ranges {
            if *first != next {
                return false;
            }
            next = last + 1;
        }
        next == SLOTS
    }

    /// A digest that changes if any slot gets another owner.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for SlotRange { first, last, owner } in &self.ranges {
            (first, last).hash(&mut hasher);
            self.addresses.get(*owner).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Reads the reply to `CLUSTER SLOTS`: the primary of each range, ordered by slot.
///
/// A node that does not know its own address leaves the host empty. Then it is the host that was
/// `asked`.
pub(crate) fn parse_slots(reply: &Value, asked: &str) -> Option<Vec<SlotRange<Host>>> {
    let Value::Array(ranges) = reply else { return None };
    let ranges: Option<Vec<_>> = ranges.iter().map(|range| parse_range(range, asked)).collect();
    let mut ranges = ranges?;
    ranges.sort_by_key(|range| range.first);
    Some(ranges)
}

fn parse_range(range: &Value, asked: &str) -> Option<SlotRange<Host>> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = range.as_slice() else {
        return None;
    };
    let [name, Value::Int(port), ..] = primary.as_slice() else { return None };
    let name = match name {
        Value::BulkString(name) if !name.is_empty() => String::from_utf8(name.clone()).ok()?,
        _ => asked.to_owned(),
    };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    if first > last || last >= SLOTS {
        return None;
    }
    let owner = Host { name, port: Some(u16::try_from(*port).ok()?) };
    Some(SlotRange { first, last, owner })
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    const REPLY: &str = "*2\r\n*4\r\n:8192\r\n:16383\r\n*3\r\n$2\r\nh2\r\n:2\r\n$1\r\ny\r\n\
                         *3\r\n$2\r\nh3\r\n:3\r\n$1\r\nz\r\n*3\r\n:0\r\n:8190\r\n*3\r\n$0\r\n\r\n:1\r\n\
                         $1\r\nx\r\n";

    #[test]
    fn slots_are_read_in_order_with_their_primaries() {
        let reply = parse_redis_value(REPLY.as_bytes()).unwrap();
        let ranges = parse_slots(&reply, "me").unwrap();
        let ranges: Vec<_> =
            ranges.iter().map(|range| (range.first, range.last, &range.owner)).collect();
        assert_eq!(format!("{ranges:?}"), "[(0, 8190, me:1), (8192, 16383, h2:2)]");
    }

    #[test]
    fn malformed_slots_are_refused() {
        for reply in ["+OK", "*1\r\n*0", "*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\nh\r\n:1"] {
            let reply = parse_redis_value(format!("{reply}\r\n").as_bytes()).unwrap();
            assert!(parse_slots(&reply, "me").is_none(), "{reply:?}");
        }
    }

    #[test]
    fn a_slot_without_an_owner_has_no_node() {
        let reply = parse_redis_value(REPLY.as_bytes()).unwrap();
        let ranges = parse_slots(&reply, "me").unwrap();
        let topology = Topology::of(&ranges, |host| Some(Arc::new(host.to_string())));
        let owner = |slot| topology.owner_of(slot).map(|node| node.as_str());
        assert_eq!(owner(0), Some("me:1"));
        assert_eq!(owner(8190), Some("me:1"));
        assert_eq!(owner(8191), None);
        assert_eq!(owner(8192), Some("h2:2"));
        assert_eq!(owner(16_383), Some("h2:2"));
        assert!(!topology.is_complete());
    }
}
