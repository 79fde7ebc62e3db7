//! The owner of each slot, read from `CLUSTER SLOTS` and `CLUSTER NODES`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redis::Value;
use rsvp_core::url::Host;

use crate::wire::slot::{SLOTS, SlotRange};

/// The primaries, and the slots of each.
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
    /// A topology without nodes.
    pub(crate) fn empty() -> Self {
        Self { nodes: Vec::new(), addresses: Vec::new(), ranges: Vec::new() }
    }

    /// A topology of one node with every slot.
    pub(crate) fn single(address: String, node: Arc<N>) -> Self {
        let ranges = vec![SlotRange { first: 0, last: SLOTS - 1, owner: 0 }];
        Self { nodes: vec![node], addresses: vec![address], ranges }
    }

    /// The topology of `ranges`. `node_at` finds or makes the nodes.
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

    /// The known owner of a slot.
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
}

/// Consecutive slots of one owner, and the config epoch of the claim. The higher one is right.
pub(crate) type Claim = (SlotRange<Host>, u64);

/// The owner of each slot, by the claim of the highest config epoch among those of several nodes.
/// An isolated node tells of an earlier owner. Of equal claims the first one counts.
pub(crate) fn newest(claims: &[Claim]) -> Vec<SlotRange<Host>> {
    // Step 1: find the best claim to each slot.
    let mut best: Vec<Option<(u64, &Host)>> = vec![None; usize::from(SLOTS)];
    for (SlotRange { first, last, owner }, epoch) in claims {
        let slots = best.iter_mut().take(usize::from(*last) + 1).skip(usize::from(*first));
        for known in slots.filter(|known| known.is_none_or(|(known, _)| known < *epoch)) {
            *known = Some((*epoch, owner));
        }
    }
    // Step 2: join neighbouring slots of one owner into a range.
    let mut ranges: Vec<SlotRange<Host>> = Vec::new();
    for (slot, owner) in (0..SLOTS).zip(best) {
        let Some((_, owner)) = owner else { continue };
        match ranges.last_mut().filter(|range| range.owner == *owner && range.last + 1 == slot) {
            Some(range) => range.last = slot,
            None => ranges.push(SlotRange { first: slot, last: slot, owner: owner.clone() }),
        }
    }
    ranges
}

/// The config epoch of each node, by its id, as the reply to `CLUSTER NODES` has it.
pub(crate) fn parse_epochs(nodes: &str) -> BTreeMap<&str, u64> {
    let epoch = |line: &'_ str| -> Option<u64> { line.split(' ').nth(6)?.parse().ok() };
    let lines = nodes.lines();
    lines.filter_map(|line| Some((line.split(' ').next()?, epoch(line)?))).collect()
}

/// The slots owned by the asked node, except those it gives away, from its reply to `CLUSTER
/// NODES`. The reply has words like `5461-10922`, `7`, and `[93->-ID]` for a migrating slot.
pub(crate) fn parse_settled(nodes: &str) -> BTreeSet<u16> {
    let mut lines = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let own = lines.find(|line| line.get(2).is_some_and(|flags| flags.contains("myself")));
    let words = own.unwrap_or_default();
    let (moving, ranges): (Vec<&str>, Vec<&str>) =
        words.into_iter().skip(8).partition(|word| word.starts_with('['));
    let range = |word: &str| -> Option<(u16, u16)> {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let ranges = ranges.into_iter().filter_map(range);
    let mut settled: BTreeSet<u16> = ranges.flat_map(|(first, last)| first..=last).collect();
    for slot in moving.into_iter().filter_map(|word| word.get(1..)?.split_once('-')?.0.parse().ok())
    {
        let slot: u16 = slot;
        settled.remove(&slot);
    }
    settled
}

/// Reads the primary of each range from the reply to `CLUSTER SLOTS`, ordered by slot, with its
/// epoch from `epochs`.
///
/// A node without knowledge of its own address leaves the host empty. Then the host is the `asked`
/// one.
pub(crate) fn parse_slots(
    reply: &Value,
    asked: &str,
    epochs: &BTreeMap<&str, u64>,
) -> Option<Vec<Claim>> {
    let Value::Array(ranges) = reply else { return None };
    let claims: Option<Vec<_>> =
        ranges.iter().map(|range| parse_range(range, asked, epochs)).collect();
    let mut claims = claims?;
    claims.sort_by_key(|(range, _)| range.first);
    Some(claims)
}

fn parse_range(range: &Value, asked: &str, epochs: &BTreeMap<&str, u64>) -> Option<Claim> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = range.as_slice() else {
        return None;
    };
    let [name, Value::Int(port), rest @ ..] = primary.as_slice() else { return None };
    let name = match name {
        Value::BulkString(name) if !name.is_empty() => String::from_utf8(name.clone()).ok()?,
        _ => asked.to_owned(),
    };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    if first > last || last >= SLOTS {
        return None;
    }
    let epoch = match rest.first() {
        Some(Value::BulkString(id)) => std::str::from_utf8(id).ok().and_then(|id| epochs.get(id)),
        _ => None,
    };
    let owner = Host { name, port: Some(u16::try_from(*port).ok()?) };
    Some((SlotRange { first, last, owner }, epoch.copied().unwrap_or(0)))
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
        let ranges = newest(&parse_slots(&reply, "me", &BTreeMap::new()).unwrap());
        let ranges: Vec<_> =
            ranges.iter().map(|range| (range.first, range.last, &range.owner)).collect();
        assert_eq!(format!("{ranges:?}"), "[(0, 8190, me:1), (8192, 16383, h2:2)]");
    }

    #[test]
    fn the_claim_of_the_highest_config_epoch_wins_slot_by_slot() {
        let host = |name: &str| Host { name: name.to_owned(), port: Some(1) };
        let claim =
            |first, last, owner, epoch| (SlotRange { first, last, owner: host(owner) }, epoch);
        // The first node to reply was cut off before `c` took the slots of `b`, and 100 of those of
        // `a`.
        let stale = [claim(0, 8000, "a", 1), claim(8001, 16_383, "b", 2)];
        let fresh = [claim(0, 99, "c", 4), claim(100, 8000, "a", 1), claim(8001, 16_383, "c", 4)];
        let expected = "[(0, 99, c:1), (100, 8000, a:1), (8001, 16383, c:1)]";
        for claims in [[&stale[..], &fresh], [&fresh, &stale[..]]] {
            let ranges = newest(&claims.concat());
            let ranges: Vec<_> =
                ranges.iter().map(|one| (one.first, one.last, &one.owner)).collect();
            assert_eq!(format!("{ranges:?}"), expected);
        }
    }

    #[test]
    fn a_node_tells_its_epoch_and_the_slots_that_it_keeps() {
        let nodes = "aa 127.0.0.1:1@2 master - 0 0 7 connected 0-99\n\
                     bb 127.0.0.1:3@4 myself,master - 0 0 9 connected 100-104 107 [102->-aa] [55-<-aa]\n\
                     cc 127.0.0.1:5@6 slave bb 0 0 9 connected\n";
        assert_eq!(parse_epochs(nodes), BTreeMap::from([("aa", 7), ("bb", 9), ("cc", 9)]));
        assert_eq!(parse_settled(nodes), BTreeSet::from([100, 101, 103, 104, 107]));
        assert!(parse_settled("").is_empty());
    }

    #[test]
    fn malformed_slots_are_refused() {
        for reply in ["+OK", "*1\r\n*0", "*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\nh\r\n:1"] {
            let reply = parse_redis_value(format!("{reply}\r\n").as_bytes()).unwrap();
            assert!(parse_slots(&reply, "me", &BTreeMap::new()).is_none(), "{reply:?}");
        }
    }

    #[test]
    fn a_slot_without_an_owner_has_no_node() {
        let reply = parse_redis_value(REPLY.as_bytes()).unwrap();
        let ranges = newest(&parse_slots(&reply, "me", &BTreeMap::new()).unwrap());
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
