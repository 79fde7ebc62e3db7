//! The table of events with queued writes.

use std::collections::{HashMap, VecDeque};

use super::reply::WriteRequest;
use super::suspects::Suspicion;
use crate::EventId;

/// The number of idle events in the table. The next write of such an event is cheaper.
const MOST_IDLE: usize = 256;

/// The greatest capacity that the queue of an idle event keeps.
const IDLE_CAPACITY: usize = 1024;

/// The class of an event. The queue serves the events of one class alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Few writes are waiting.
    Light,
    /// Many writes are waiting.
    Heavy,
    /// A batch with a write of the event has timed out.
    Suspect,
    /// A batch with this event alone has timed out, too.
    Blocked,
}

/// The queue of one event, in the order of arrival.
pub(super) struct Flow {
    event: EventId,
    pub(super) requests: VecDeque<WriteRequest>,
    /// The number of entries of these requests.
    pub(super) waiting: usize,
    /// The number of entries in the batch in flight.
    pub(super) in_flight: usize,
    /// The room in the queue of the requests in flight.
    pub(super) room_in_flight: usize,
    pub(super) suspicion: Option<Suspicion>,
    /// Whether the event is in the list of idle events.
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

/// The events with writes, with recent writes, or under suspicion.
#[derive(Default)]
pub(super) struct FlowTable {
    places: HashMap<EventId, usize>,
    flows: Vec<Flow>,
    /// Free places in `flows`.
    unused: Vec<usize>,
    /// Idle events, the longest idle first. Some may have writes again.
    idle: VecDeque<usize>,
}

impl FlowTable {
    /// Returns the place of an event.
    pub(super) fn find(&self, event: &EventId) -> Option<usize> {
        self.places.get(event).copied()
    }

    pub(super) fn get(&self, id: usize) -> Option<&Flow> {
        self.flows.get(id)
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Flow> {
        self.flows.get_mut(id)
    }

    /// Makes a place for an event without one.
    pub(super) fn open(&mut self, event: &EventId) -> usize {
        let id = self.unused.pop().unwrap_or(self.flows.len());
        match self.flows.get_mut(id) {
            Some(flow) => flow.event = event.clone(),
            None => self.flows.push(Flow {
                event: event.clone(),
                requests: VecDeque::new(),
                waiting: 0,
                in_flight: 0,
                room_in_flight: 0,
                suspicion: None,
                is_listed: false,
            }),
        }
        self.places.insert(event.clone(), id);
        id
    }

    /// Adds an event without writes and without suspicion to the list of idle events.
    /// If the list is too long, the event at its front is forgotten.
    pub(super) fn list_if_idle(&mut self, id: usize) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        if !flow.is_idle() || flow.suspicion.is_some() {
            return;
        }
        // 1. Keep little memory for an idle event, and list it once.
        flow.requests.shrink_to(IDLE_CAPACITY);
        if std::mem::replace(&mut flow.is_listed, true) {
            return;
        }
        // 2. Forget the oldest idle event if there are too many.
        self.idle.push_back(id);
        if self.idle.len() <= MOST_IDLE {
            return;
        }
        if let Some(oldest) = self.idle.pop_front()
            && let Some(flow) = self.flows.get_mut(oldest)
        {
            // It may have got writes meanwhile. Then it is listed again after these.
            flow.is_listed = false;
            if flow.is_idle() && flow.suspicion.is_none() {
                flow.requests = VecDeque::new();
                self.places.remove(&flow.event);
                self.unused.push(oldest);
            }
        }
    }
}
