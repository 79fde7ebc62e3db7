//! Which node serves which slots.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use redis::Value;
use rsvp_core::url::Host;

use crate::data::keys::SLOTS;
use crate::wire::node::Node;

/// The primaries, and the slots of each.
#[derive(Debug)]
pub(crate) struct Topology {
    /// In the order of their first slots.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// First slot, last slot and node of each range, in order.
    ranges: Vec<(u16, u16, usize)>,
}

impl Topology {
    /// One node serves everything.
    pub(crate) fn single(node: Node) -> Self {
        Self { nodes: vec![Arc::new(node)], ranges: vec![(0, SLOTS - 1, 0)] }
    }

    /// The nodes that `ranges` name, made by `node`.
    pub(crate) fn of(
        ranges: &[(u16, u16, Host)],
        mut node: impl FnMut(&Host) -> Option<Arc<Node>>,
    ) -> Self {
        let (mut nodes, mut places) = (Vec::new(), BTreeMap::new());
        let mut placed = Vec::new();
        for (first, last, host) in ranges {
            let name = host.to_string();
            let place = match places.get(&name) {
                Some(place) => *place,
                None => {
                    let Some(node) = node(host) else { continue };
                    nodes.push(node);
                    places.insert(name, nodes.len() - 1);
                    nodes.len() - 1
                }
            };
            placed.push((*first, *last, place));
        }
        Self { nodes, ranges: placed }
    }

    pub(crate) fn node_of(&self, slot: u16) -> Option<&Arc<Node>> {
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (first, _, place) = self.ranges.get(at)?;
        if *first <= slot { self.nodes.get(*place) } else { None }
    }

    /// Whether every slot is served by some node.
    pub(crate) fn is_complete(&self) -> bool {
        let mut next = 0;
        for (first, last, _) in &self.ranges {
            if *first != next {
                return false;
            }
            next = last + 1;
        }
        next == SLOTS
    }

    /// Another one if any slot is served by another node.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (first, last, place) in &self.ranges {
            (first, last).hash(&mut hasher);
            self.nodes.get(*place).map(|node| &node.address).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Reads the answer to `CLUSTER SLOTS`, in the order of the slots: the primary of each range.
///
/// A node that does not know its own address calls itself nothing: it is `asked` then.
pub(crate) fn parse_slots(answer: &Value, asked: &str) -> Option<Vec<(u16, u16, Host)>> {
    let Value::Array(ranges) = answer else { return None };
    let mut parsed = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = range.as_slice()
        else {
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
        parsed.push((first, last, Host { name, port: Some(u16::try_from(*port).ok()?) }));
    }
    parsed.sort_by_key(|(first, ..)| *first);
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    const ANSWER: &str = "*2\r\n*4\r\n:8192\r\n:16383\r\n*3\r\n$2\r\nh2\r\n:2\r\n$1\r\ny\r\n\
                          *3\r\n$2\r\nh3\r\n:3\r\n$1\r\nz\r\n*3\r\n:0\r\n:8190\r\n*3\r\n$0\r\n\r\n:1\r\n\
                          $1\r\nx\r\n";

    #[test]
    fn slots_are_read_in_order_with_their_primaries() {
        let answer = parse_redis_value(ANSWER.as_bytes()).unwrap();
        let ranges = parse_slots(&answer, "me").unwrap();
        assert_eq!(format!("{ranges:?}"), "[(0, 8190, me:1), (8192, 16383, h2:2)]");
    }

    #[test]
    fn what_is_no_list_of_slots_is_refused() {
        for answer in ["+OK", "*1\r\n*0", "*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\nh\r\n:1"] {
            let answer = parse_redis_value(format!("{answer}\r\n").as_bytes()).unwrap();
            assert!(parse_slots(&answer, "me").is_none(), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_slot_that_nobody_serves_has_no_node() {
        let answer = parse_redis_value(ANSWER.as_bytes()).unwrap();
        let ranges = parse_slots(&answer, "me").unwrap();
        let config = Arc::new(crate::RedisConfig::from_url("redis+cluster://h").unwrap());
        let topology =
            Topology::of(&ranges, |host| Node::new(&config, vec![host.clone()]).ok().map(Arc::new));
        let served = |slot| topology.node_of(slot).map(|node| node.address.clone());
        assert_eq!(served(0).as_deref(), Some("me:1"));
        assert_eq!(served(8190).as_deref(), Some("me:1"));
        assert_eq!(served(8191), None);
        assert_eq!(served(8192).as_deref(), Some("h2:2"));
        assert_eq!(served(16_383).as_deref(), Some("h2:2"));
        assert!(!topology.is_complete());
    }
}
