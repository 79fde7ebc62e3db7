//! Routing. The requests of a call are divided into one batch or more for each node.

use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::failure::Failure;
use crate::wire::redirect::{Redirect, Redirects};
use crate::wire::request::{Answer, Request, Size};
use crate::wire::topology::Topology;

/// The size limit of a batch, about 10 ms of the server's time. A single request may be larger.
const MAX_BATCH: Size = Size { arguments: 16_384, bytes: 1 << 20 };

/// Requests to one node in one pipeline, each with its index within the call.
pub(crate) struct NodeBatch<N> {
    pub(crate) to: Redirect<N>,
    pub(crate) requests: Vec<(usize, Request)>,
    size: Size,
}

/// A request with its answer, and its index within the call.
pub(crate) struct Answered {
    pub(crate) index: usize,
    pub(crate) request: Request,
    pub(crate) answer: Result<Answer, Failure>,
}

/// Divides requests by their nodes. Those without an owner fail at once.
pub(crate) fn route<N>(
    requests: Vec<(usize, Request)>,
    topology: &Topology<N>,
    redirects: &Redirects<N>,
) -> (Vec<NodeBatch<N>>, Vec<Answered>) {
    let (mut batches, mut failed): (Vec<NodeBatch<N>>, Vec<Answered>) = Default::default();
    // The last batch of each node, which may have room.
    let mut open: HashMap<(*const N, bool), usize> = HashMap::new();
    for (index, request) in requests {
        let owner = || {
            let node = topology.owner_of(request.slot)?;
            Some(Redirect { node: Arc::clone(node), asking: false })
        };
        let Some(to) = redirects.get(&request.slot).cloned().or_else(owner) else {
            failed.push(Answered { index, request, answer: Err(Failure::NoOwner) });
            continue;
        };
        let key = (Arc::as_ptr(&to.node), to.asking);
        let size = request.size();
        let batch = open.get(&key).and_then(|at| batches.get_mut(*at));
        match batch.filter(|batch| batch.has_room_for(size)) {
            Some(batch) => {
                batch.requests.push((index, request));
                batch.size = batch.size + size;
            }
            None => {
                open.insert(key, batches.len());
                batches.push(NodeBatch { to, requests: vec![(index, request)], size });
            }
        }
    }
    (batches, failed)
}

/// Gathers the batches of each node.
pub(crate) fn by_node<N>(batches: Vec<NodeBatch<N>>) -> Vec<Vec<NodeBatch<N>>> {
    let mut of_nodes: HashMap<*const N, Vec<NodeBatch<N>>> = HashMap::new();
    for batch in batches {
        of_nodes.entry(Arc::as_ptr(&batch.to.node)).or_default().push(batch);
    }
    of_nodes.into_values().collect()
}

impl<N> NodeBatch<N> {
    fn has_room_for(&self, size: Size) -> bool {
        let Size { arguments, bytes } = self.size + size;
        arguments <= MAX_BATCH.arguments && bytes <= MAX_BATCH.bytes
    }
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;

    #[test]
    fn a_batch_is_bounded_in_arguments_and_in_bytes() {
        let topology = Topology::single("h:1".to_owned(), Arc::new("h:1"));
        let batches = |arguments: usize, length: usize| {
            let add = cmd("SADD").arg(vec!["x".repeat(length); arguments]).to_owned();
            let requests = (0..64).map(|index| (index, Request::write(0, vec![add.clone()])));
            let (batches, failed) = route(requests.collect(), &topology, &Redirects::new());
            assert!(failed.is_empty());
            let indexes = batches.iter().flat_map(|batch| batch.requests.iter().map(|one| one.0));
            assert!(indexes.eq(0..64), "in order");
            batches.len()
        };
        assert_eq!(batches(1, 1), 1);
        assert_eq!(batches(1023, 1), 4);
        assert_eq!(batches(1023, 200), 16);
        assert_eq!(batches(10_000, 200), 64, "a request that asks for more goes alone");
    }
}
