//! The queue of writes: which of them wait, by event, and which of them go next.

use std::collections::{BTreeSet, VecDeque};

use smallvec::SmallVec;

use super::CoalesceConfig;
use super::reply::WriteRequest;
use super::suspects::Suspects;
use super::table::{Class, FlowTable};
use crate::EventId;

/// An event with more writes waiting than this part of a batch has a backlog.
const BACKLOG: usize = 32;

/// The most batches of suspects in flight beside `lanes` others: at least two, so that events that
/// are blocked for long leave a place to the others.
fn most_suspects(lanes: usize) -> usize {
    lanes.max(2)
}

/// The events of a class that wait for a batch, in turn, and its batches in flight.
#[derive(Default)]
struct Ring {
    flows: VecDeque<usize>,
    in_flight: usize,
}

/// The writes that wait and are in flight.
///
/// An event with writes that wait is in the ring of its class, unless it is in flight. So an event is
/// never in flight twice.
pub(super) struct Flows {
    lanes: usize,
    max_batch: usize,
    /// Entries that may be pending in all flows together.
    bound: usize,
    table: FlowTable,
    light: Ring,
    heavy: Ring,
    suspect: Ring,
    blocked: Ring,
    /// Whether the last batch of the first two rings was a light one.
    light_was_last: bool,
    suspects: Suspects,
    /// Entries that wait or are in flight.
    pending: usize,
}

/// The requests of a batch: one if there is a single caller.
pub(super) type Requests = SmallVec<[WriteRequest; 1]>;

/// Requests that go to the store together, and their events.
pub(super) struct Batch {
    pub(super) requests: Requests,
    pub(super) entries: usize,
    class: Class,
    flows: SmallVec<[usize; 4]>,
}

impl Default for Batch {
    /// A batch of nothing.
    fn default() -> Self {
        let (requests, flows) = (Requests::new(), SmallVec::new());
        Self { requests, entries: 0, class: Class::Light, flows }
    }
}

/// What a batch has told about its events.
#[derive(Default)]
pub(super) struct Verdict {
    /// Whether all of them have timed out.
    pub(super) all_timed_out: bool,
    /// Otherwise, the flows of writes that have timed out.
    pub(super) timed_out: BTreeSet<usize>,
    /// Whether a write was acknowledged.
    pub(super) acknowledged: bool,
}

impl Flows {
    pub(super) fn new(config: &CoalesceConfig) -> Self {
        Self {
            lanes: config.lanes,
            max_batch: config.max_batch,
            bound: 2 * config.max_pending,
            table: FlowTable::default(),
            light: Ring::default(),
            heavy: Ring::default(),
            suspect: Ring::default(),
            blocked: Ring::default(),
            light_was_last: false,
            // As many as a batch can leave behind.
            suspects: Suspects::new(config.max_batch),
            pending: 0,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Whether a write of any event would be refused.
    pub(super) fn is_full(&self) -> bool {
        self.pending >= self.bound
    }

    /// Queues a request, or gives it back if its event has no room.
    ///
    /// An event may have as many entries pending as there is free room in the queue (a dynamic
    /// threshold after Choudhury and Hahne, with a factor of one): a single hot event fills half of
    /// it, and leaves the rest to others. As long as an event is below its threshold it takes one
    /// more request, however large, so a call of more entries than the bound goes through when
    /// little else is to do.
    pub(super) fn push(
        &mut self,
        event: &EventId,
        mut request: WriteRequest,
    ) -> Result<(), WriteRequest> {
        let free = self.bound.saturating_sub(self.pending);
        let id = match self.table.find(event) {
            Some(id) => id,
            None if free == 0 => return Err(request),
            None => self.table.open(event),
        };
        let Some(flow) = self.table.get_mut(id) else { return Err(request) };
        if flow.waiting + flow.in_flight >= free {
            return Err(request);
        }
        let is_idle = flow.is_idle();
        request.flow = id;
        flow.waiting += request.entries;
        self.pending += request.entries;
        flow.requests.push_back(request);
        if is_idle {
            self.wait_for_turn(id);
        }
        Ok(())
    }

    /// Whether a batch could be sent now.
    pub(super) fn has_next(&mut self) -> bool {
        self.next_class().is_some()
    }

    /// Puts the next requests into an empty batch. Returns whether there are any.
    ///
    /// The events of the ring give their writes in turn. Those that wait are divided over the batches
    /// that may still be sent, so that these work side by side.
    pub(super) fn next(&mut self, batch: &mut Batch) -> bool {
        // 1. How many events the batch is made of, and the share of each.
        let Some(class) = self.next_class() else { return false };
        let idle_lanes = self.lanes.saturating_sub(self.light.in_flight + self.heavy.in_flight);
        let batches = match class {
            Class::Light => idle_lanes,
            Class::Heavy => idle_lanes.min(self.most_heavy().saturating_sub(self.heavy.in_flight)),
            // Each alone.
            Class::Suspect | Class::Blocked => usize::MAX,
        };
        let waiting = self.ring(class).flows.len();
        let events = waiting.div_ceil(batches.max(1));
        let share = (self.max_batch / events.max(1)).max(1);
        // 2. Each gives its share.
        for _ in 0..events {
            let Some(id) = self.ring(class).flows.pop_front() else { break };
            if class == Class::Light && self.has_backlog(id) {
                self.wait_for_turn(id);
            } else if self.give(id, share, batch) {
                batch.flows.push(id);
            } else {
                // Its first request does not fit any more, so its turn is in the next batch.
                self.ring(class).flows.push_front(id);
                break;
            }
        }
        // 3. What is left of the batch is filled up by the same events.
        for at in 0..batch.flows.len() {
            if batch.entries < self.max_batch
                && let Some(&id) = batch.flows.get(at)
            {
                self.give(id, self.max_batch, batch);
            }
        }
        batch.class = class;
        self.ring(class).in_flight += 1;
        if matches!(class, Class::Light | Class::Heavy) {
            self.light_was_last = class == Class::Light;
        }
        true
    }

    /// Moves requests of an event to a batch, at most `share` entries and as many as there is room
    /// for, and whole requests only: at least one if the event gives its first one to the batch.
    /// Returns whether there was any.
    fn give(&mut self, id: usize, share: usize, batch: &mut Batch) -> bool {
        let Some(flow) = self.table.get_mut(id) else { return false };
        let before = flow.in_flight;
        while let Some(next) = flow.requests.front() {
            let first = flow.in_flight == 0;
            let of_event = flow.in_flight - before + next.entries;
            let exceeds_share = of_event > share && !first;
            let exceeds_batch = batch.entries + next.entries > self.max_batch && batch.entries > 0;
            if exceeds_share || exceeds_batch {
                break;
            }
            flow.waiting -= next.entries;
            flow.in_flight += next.entries;
            batch.entries += next.entries;
            batch.requests.extend(flow.requests.pop_front());
        }
        flow.in_flight > before
    }

    /// Lets the events of a batch wait for their next one. A batch that has landed is left alone.
    pub(super) fn land(&mut self, batch: &mut Batch, verdict: &Verdict) {
        if batch.flows.is_empty() {
            return;
        }
        self.ring(batch.class).in_flight -= 1;
        // 1. Room is made, and the events are judged.
        for id in &batch.flows {
            let timed_out = verdict.all_timed_out || verdict.timed_out.contains(id);
            let Some(flow) = self.table.get_mut(*id) else { continue };
            self.pending -= std::mem::take(&mut flow.in_flight);
            match &mut flow.suspicion {
                Some(suspicion) if timed_out => suspicion.blocked = true,
                None if timed_out => flow.suspicion = Some(self.suspects.add(*id)),
                suspicion if verdict.acknowledged => *suspicion = None,
                _ => {}
            }
        }
        // 2. They wait again, or are forgotten.
        batch.flows.drain(..).for_each(|id| self.wait_for_turn(id));
        // 3. So are the oldest suspects, if there are too many.
        while let Some((id, suspicion)) = self.suspects.too_many() {
            if let Some(flow) = self.table.get_mut(id)
                && flow.suspicion.is_some_and(|own| own.number == suspicion)
            {
                flow.suspicion = None;
                self.table.list_if_idle(id);
            }
        }
    }

    /// Takes all requests that wait.
    pub(super) fn take_waiting(&mut self) -> Vec<WriteRequest> {
        let mut taken = Vec::new();
        for class in [Class::Light, Class::Heavy, Class::Suspect, Class::Blocked] {
            while let Some(id) = self.ring(class).flows.pop_front() {
                if let Some(flow) = self.table.get_mut(id) {
                    self.pending -= std::mem::take(&mut flow.waiting);
                    taken.extend(flow.requests.drain(..));
                }
                self.table.list_if_idle(id);
            }
        }
        taken
    }

    /// The class of the next batch, if one may be sent.
    ///
    /// Events with a backlog leave one lane to the others (if there are two), whose batches are short.
    /// The others leave one to them while they wait. With one lane they take turns.
    fn next_class(&mut self) -> Option<Class> {
        // An event that has got a backlog while it waited is not a light one any more.
        while let Some(&id) = self.light.flows.front() {
            if !self.has_backlog(id) {
                break;
            }
            self.light.flows.pop_front();
            self.wait_for_turn(id);
        }
        if self.light.in_flight + self.heavy.in_flight < self.lanes {
            let light = !self.light.flows.is_empty();
            let heavy = !self.heavy.flows.is_empty() && self.heavy.in_flight < self.most_heavy();
            let is_turn_of_heavy = self.heavy.in_flight == 0 && self.light_was_last;
            if heavy && (!light || is_turn_of_heavy) {
                return Some(Class::Heavy);
            }
            if light {
                return Some(Class::Light);
            }
        }
        let (suspects, most) =
            (self.suspect.in_flight + self.blocked.in_flight, most_suspects(self.lanes));
        if suspects < most {
            if !self.suspect.flows.is_empty() {
                return Some(Class::Suspect);
            }
            if !self.blocked.flows.is_empty() && self.blocked.in_flight < most / 2 {
                return Some(Class::Blocked);
            }
        }
        None
    }

    fn most_heavy(&self) -> usize {
        (self.lanes - 1).max(1)
    }

    fn backlog(&self) -> usize {
        (self.max_batch / BACKLOG).max(1)
    }

    fn has_backlog(&self, id: usize) -> bool {
        self.table.get(id).is_some_and(|flow| flow.class(self.backlog()) == Class::Heavy)
    }

    /// Puts an event that is not in flight into the ring of its class, if it has writes that wait.
    fn wait_for_turn(&mut self, id: usize) {
        match self.table.get(id) {
            Some(flow) if flow.waiting > 0 => {
                let class = flow.class(self.backlog());
                self.ring(class).flows.push_back(id);
            }
            _ => self.table.list_if_idle(id),
        }
    }

    fn ring(&mut self, class: Class) -> &mut Ring {
        match class {
            Class::Light => &mut self.light,
            Class::Heavy => &mut self.heavy,
            Class::Suspect => &mut self.suspect,
            Class::Blocked => &mut self.blocked,
        }
    }
}
