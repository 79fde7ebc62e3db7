//! Routing: the requests of a call divided into one batch or more for each node.

use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::failure::Failure;
use crate::wire::redirect::{Redirect, Redirects};
use crate::wire::request::{Answer, Request};
use crate::wire::topology::Topology;

/// The most requests of one batch.
const MAX_BATCH: usize = 1024;

/// Requests that go to one node in one pipeline, each with its index within the call.
pub(crate) struct NodeBatch<N> {
    pub(crate) to: Redirect<N>,
    pub(crate) requests: Vec<(usize, Request)>,
}

/// A request with its answer, and its index within the call.
pub(crate) struct Answered {
    pub(crate) index: usize,
    pub(crate) request: Request,
    pub(crate) answer: Result<Answer, Failure>,
}

/// Divides requests by the nodes that they go to. Those without an owner fail at once.
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
        let batch = open.get(&key).and_then(|at| batches.get_mut(*at));
        match batch.filter(|batch| batch.requests.len() < MAX_BATCH) {
            Some(batch) => batch.requests.push((index, request)),
            None => {
                open.insert(key, batches.len());
                batches.push(NodeBatch { to, requests: vec![(index, request)] });
            }
        }
    }
    (batches, failed)
}
