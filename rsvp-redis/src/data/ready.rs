//! Readiness, tested by a write to every primary.

use std::sync::Arc;

use redis::cmd;

use crate::data::keys::{Key, Keys};
use crate::wire::request::Request;
use crate::wire::topology::Topology;

/// A write for each node. It leaves no data behind.
pub(crate) fn probes<N>(topology: &Topology<N>, keys: &Keys) -> Vec<(Arc<N>, Request)> {
    // A key in a slot that the node owns.
    let key_of = |node| {
        let mut probes = (0..u32::MAX).map(|number| keys.probe(number));
        probes.find(|key| topology.owner_of(key.slot).is_some_and(|own| Arc::ptr_eq(own, node)))
    };
    let request = |key: Key| {
        let add = cmd("SADD").arg(&key.name).arg("1").to_owned();
        Request::write(key.slot, vec![add, cmd("DEL").arg(&key.name).to_owned()])
    };
    let nodes = topology.nodes.iter();
    nodes.filter_map(|node| Some((Arc::clone(node), request(key_of(node)?)))).collect()
}
