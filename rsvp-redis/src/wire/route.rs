//! What of a call travels to which node.

use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::failure::Failure;
use crate::wire::node::Node;
use crate::wire::request::{Answer, Unit};
use crate::wire::topology::Topology;

/// The most units that travel in one piece.
const PIECE: usize = 1024;

/// A node, and whether it is asked for what is not its own yet.
#[derive(Clone)]
pub(crate) struct Detour {
    pub(crate) node: Arc<Node>,
    pub(crate) asking: bool,
}

/// Where slots are asked for instead of where they are served.
pub(crate) type Detours = HashMap<u16, Detour>;
/// A unit that has been answered, with its place in the call.
pub(crate) type Answered = (usize, Unit, Result<Answer, Failure>);
/// What travels to one node in one piece.
pub(crate) type Piece = (Detour, Vec<(usize, Unit)>);

/// Divides units by the nodes that they are sent to.
pub(crate) fn divide(
    units: Vec<(usize, Unit)>,
    topology: &Topology,
    detours: &Detours,
) -> (Vec<Piece>, Vec<Answered>) {
    let (mut pieces, mut not_served): (Vec<Piece>, Vec<Answered>) = Default::default();
    let mut open: HashMap<(usize, bool), usize> = HashMap::new();
    for (place, unit) in units {
        let served = || {
            let node = topology.node_of(unit.slot)?;
            Some(Detour { node: Arc::clone(node), asking: false })
        };
        let Some(detour) = detours.get(&unit.slot).cloned().or_else(served) else {
            not_served.push((place, unit, Err(Failure::NotServed)));
            continue;
        };
        let key = (Arc::as_ptr(&detour.node).addr(), detour.asking);
        let piece = open.get(&key).and_then(|at| pieces.get_mut(*at));
        match piece.filter(|(_, units)| units.len() < PIECE) {
            Some((_, units)) => units.push((place, unit)),
            None => {
                open.insert(key, pieces.len());
                pieces.push((detour, vec![(place, unit)]));
            }
        }
    }
    (pieces, not_served)
}
