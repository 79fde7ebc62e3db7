//! The events of the queue of writes, and their places in it.

use std::collections::{HashMap, VecDeque};

use super::reply::WriteRequest;
use super::suspects::Suspicion;
use crate::EventId;

/// The number of events without writes that keep their places, so that the next write is cheaper.
const MOST_IDLE: usize = 256;

/// The longest queue of requests that such an event keeps the memory of.
const IDLE_CAPACITY: usize = 1024;

/// Events that are served alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Few writes wait.
    Light,
    /// Many writes wait.
    Heavy,
    /// A batch that held a write of the event has timed out.
    Suspect,
    /// So has a batch of this event alone.
    Blocked,
}

/// The writes of one event, in the order in which they came.
pub(super) struct Flow {
    event: EventId,
    pub(super) requests: VecDeque<WriteRequest>,
    /// Entries of these requests.
    pub(super) waiting: usize,
    /// Entries of the batch that is in flight.
    pub(super) in_flight: usize,
    pub(super) suspicion: Option<Suspicion>,
    /// Whether it is in the list of those that may be idle.
    is_listed: bool,
}

impl Flow {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting + self.in_flight == 0
    }

    pub(super) fn class(&self, backlog: usize) -> Class {
        match self.suspicion {
            Some(Suspicion { blocked: true, .. }) => Class::Blocked,
            Some(Suspicion { blocked: false, .. }) => Class::Suspect,
            None if self.waiting > backlog => Class::Heavy,
            None => Class::Light,
        }
    }
}

/// The events that have writes, or have had some lately, or are suspects.
#[derive(Default)]
pub(super) struct FlowTable {
    places: HashMap<EventId, usize>,
    flows: Vec<Flow>,
    /// Places in `flows` for other events.
    unused: Vec<usize>,
    /// Events that have had no writes, the longest ago first. They may have some again.
    idle: VecDeque<usize>,
}

impl FlowTable {
    /// The place of an event.
    pub(super) fn find(&self, event: &EventId) -> Option<usize> {
        self.places.get(event).copied()
    }

    pub(super) fn get(&self, id: usize) -> Option<&Flow> {
        self.flows.get(id)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Flow> {
        self.flows.get_mut(id)
    }

    /// A place for an event that has none.
    pub(super) fn open(&mut self, event: &EventId) -> usize {
        let id = self.unused.pop().unwrap_or(self.flows.len());
        match self.flows.get_mut(id) {
            Some(flow) => flow.event = event.clone(),
            None => self.flows.push(Flow {
                event: event.clone(),
                requests: VecDeque::new(),
                waiting: 0,
                in_flight: 0,
                suspicion: None,
                is_listed: false,
            }),
        }
        self.places.insert(event.clone(), id);
        id
    }

    /// Lists an event that has no writes and is no suspect, and forgets the one that has been listed
    /// for longest if there are too many.
    pub(super) fn list_if_idle(&mut self, id: usize) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        if !flow.is_idle() || flow.suspicion.is_some() {
            return;
        }
        flow.requests.shrink_to(IDLE_CAPACITY);
        if std::mem::replace(&mut flow.is_listed, true) {
            return;
        }
        self.idle.push_back(id);
        if self.idle.len() <= MOST_IDLE {
            return;
        }
        if let Some(oldest) = self.idle.pop_front()
            && let Some(flow) = self.flows.get_mut(oldest)
        {
            flow.is_listed = false;
            if flow.is_idle() && flow.suspicion.is_none() {
                flow.requests = VecDeque::new();
                self.places.remove(&flow.event);
                self.unused.push(oldest);
            }
        }
    }
}
