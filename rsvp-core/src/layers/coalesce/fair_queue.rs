//! The fair queue of writes. It decides which events' writes go into the next batch.
//!
//! Each event has a flow, a queue of requests. The class of a flow decides its ring:
//!
//! | class | flow | lanes |
//! |---|---|---|
//! | light | few requests are waiting | all lanes, or all but one while heavy flows wait, or an extra lane while heavy flows use all |
//! | heavy | many requests are waiting (a backlog) | all lanes but one, or all without light flows for a while |
//! | suspect | a batch with the flow has timed out | extra lanes, each flow alone |
//! | blocked | a batch with the flow alone has timed out | at most half of the extra lanes |
//!
//! The flows of a ring take turns (round robin).
//! A flow in flight is in no ring, and comes back after its batch.

use std::collections::{BTreeSet, VecDeque};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::CoalesceConfig;
use super::flow_table::{Class, Flow, FlowTable};
use super::reply::WriteRequest;
use super::suspects::Suspects;
use crate::EventId;

/// A flow with more waiting writes than this part of a batch has a backlog.
const BACKLOG: usize = 32;

/// After this number of heavy batches for each lane without a light one, heavy flows use all lanes.
const LONG_WITHOUT_LIGHT: usize = 64;

/// The number of extra lanes for suspects: at least two,
/// so that events blocked for long leave a lane to the others.
fn most_suspects(lanes: usize) -> usize {
    lanes.max(2)
}

/// Returns the room of a request in a queue with this bound. A request of any size leaves half of
/// the queue to the other events.
fn room_of(request: &WriteRequest, bound: usize) -> usize {
    request.entries.min(bound / 2)
}

/// The waiting flows of a class, in turn, and the number of its batches in flight.
#[derive(Default)]
struct Ring {
    flows: VecDeque<usize>,
    in_flight: usize,
}

/// All waiting writes and writes in flight.
///
/// A flow with waiting writes is in the ring of its class, unless it is in flight.
/// So an event is never in flight twice.
pub(super) struct FairQueue {
    lanes: usize,
    max_batch: usize,
    /// The number of entries that may be pending in all flows together.
    bound: usize,
    table: FlowTable,
    light: Ring,
    heavy: Ring,
    suspect: Ring,
    blocked: Ring,
    /// The number of heavy batches since the last light one.
    heavy_in_a_row: usize,
    suspects: Suspects,
    /// The room of the requests that wait or are in flight.
    pending: usize,
}

/// The requests of a batch: one if there is a single caller.
pub(super) type Requests = SmallVec<[WriteRequest; 1]>;

/// Requests that go to the store together, and their flows.
pub(super) struct Batch {
    pub(super) requests: Requests,
    pub(super) entries: usize,
    /// The requests that were found after their deadlines. They are not sent.
    pub(super) expired: Requests,
    class: Class,
    flows: SmallVec<[usize; 4]>,
}

impl Default for Batch {
    /// Makes an empty batch.
    fn default() -> Self {
        let (requests, expired, flows) = (Requests::new(), Requests::new(), SmallVec::new());
        Self { requests, entries: 0, expired, class: Class::Light, flows }
    }
}

/// The information of a finished batch about its flows.
#[derive(Default)]
pub(super) struct Verdict {
    /// Whether the whole batch timed out.
    pub(super) all_timed_out: bool,
    /// Otherwise, the flows with a timed-out write.
    pub(super) timed_out: BTreeSet<usize>,
    /// Whether a write was acknowledged.
    pub(super) acknowledged: bool,
}

impl FairQueue {
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
            heavy_in_a_row: 0,
            // A batch leaves at most this number of suspects behind.
            suspects: Suspects::new(config.max_batch),
            pending: 0,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Returns whether a write of any event would be refused.
    pub(super) fn is_full(&self) -> bool {
        self.pending >= self.bound
    }

    /// Queues a request, or returns it if its flow has no room.
    ///
    /// A flow may have as many pending entries as there is free room
    /// in the queue (a dynamic threshold after Choudhury and Hahne, with a factor of one).
    /// So a single hot event fills half of the queue, and leaves the rest to others.
    /// A flow below its threshold takes one more request of any size.
    /// So a call larger than the bound goes through when there is little else to do.
    pub(super) fn push(
        &mut self,
        event: &EventId,
        mut request: WriteRequest,
    ) -> Result<(), WriteRequest> {
        // 1. Find or open the flow of the event, and compare its pending entries
        //    with its threshold.
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
        // 2. Queue the request. An idle flow joins the ring of its class.
        let is_idle = flow.is_idle();
        request.flow = id;
        flow.waiting += request.entries;
        self.pending += room_of(&request, self.bound);
        flow.requests.push_back(request);
        if is_idle {
            self.wait_for_turn(id);
        }
        Ok(())
    }

    /// Returns whether a batch could be sent now.
    pub(super) fn has_next(&mut self) -> bool {
        self.next_class().is_some()
    }

    /// Puts the next requests into an empty batch. Returns whether there are any.
    ///
    /// The flows of the ring give their writes in turn.
    /// The waiting flows are divided over the batches that may still be sent,
    /// so that these batches run side by side.
    /// Requests after their deadlines take no place in a batch.
    pub(super) fn next(&mut self, batch: &mut Batch, now: Instant) -> bool {
        // Flows whose requests have all expired leave the batch empty.
        while batch.flows.is_empty() {
            let Some(class) = self.next_class() else { return false };
            self.fill(batch, class, now);
        }
        // Count the batch in its ring.
        self.ring(batch.class).in_flight += 1;
        match batch.class {
            Class::Light => self.heavy_in_a_row = 0,
            Class::Heavy => self.heavy_in_a_row = self.heavy_in_a_row.saturating_add(1),
            Class::Suspect | Class::Blocked => {}
        }
        true
    }

    /// Puts requests of this class into an empty batch.
    fn fill(&mut self, batch: &mut Batch, class: Class, now: Instant) {
        // 1. Choose the number of flows, and the share of each flow.
        batch.class = class;
        let idle_lanes = self.lanes.saturating_sub(self.light.in_flight + self.heavy.in_flight);
        let batches = match class {
            Class::Light => idle_lanes,
            Class::Heavy => idle_lanes.min(self.most_heavy().saturating_sub(self.heavy.in_flight)),
            // Each suspect goes alone.
            Class::Suspect | Class::Blocked => usize::MAX,
        };
        let waiting = self.ring(class).flows.len();
        let events = waiting.div_ceil(batches.max(1));
        let share = (self.max_batch / events.max(1)).max(1);
        // 2. Each flow gives its share.
        for _ in 0..events {
            let Some(id) = self.ring(class).flows.pop_front() else { break };
            if class == Class::Light && self.has_backlog(id) {
                self.wait_for_turn(id);
            } else if self.give(id, share, batch, now) {
                batch.flows.push(id);
            } else if self.table.get(id).is_none_or(Flow::is_idle) {
                self.table.list_if_idle(id);
            } else {
                // The first request of this flow does not fit any more.
                // Its turn is in the next batch.
                self.ring(class).flows.push_front(id);
                break;
            }
        }
        // 3. The same flows fill the rest of the batch.
        for at in 0..batch.flows.len() {
            if batch.entries < self.max_batch
                && let Some(&id) = batch.flows.get(at)
            {
                self.give(id, self.max_batch, batch, now);
            }
        }
    }

    /// Moves requests of a flow to a batch: at most `share` entries, as many as fit,
    /// and whole requests only. The first request of a flow may exceed the share.
    /// Expired requests are set apart. Returns whether any request was moved.
    fn give(&mut self, id: usize, share: usize, batch: &mut Batch, now: Instant) -> bool {
        let Some(flow) = self.table.get_mut(id) else { return false };
        let before = flow.in_flight;
        while let Some(next) = flow.requests.front() {
            if next.deadline().is_some_and(|deadline| deadline.instant() <= now) {
                flow.waiting -= next.entries;
                self.pending -= room_of(next, self.bound);
                batch.expired.extend(flow.requests.pop_front());
                continue;
            }
            let first = flow.in_flight == 0;
            let of_event = flow.in_flight - before + next.entries;
            let exceeds_share = of_event > share && !first;
            let exceeds_batch = batch.entries + next.entries > self.max_batch && batch.entries > 0;
            if exceeds_share || exceeds_batch {
                break;
            }
            flow.waiting -= next.entries;
            flow.in_flight += next.entries;
            flow.room_in_flight += room_of(next, self.bound);
            batch.entries += next.entries;
            batch.requests.extend(flow.requests.pop_front());
        }
        flow.in_flight > before
    }

    /// Returns the flows of a finished batch to their rings. Does nothing for an empty batch.
    pub(super) fn land(&mut self, batch: &mut Batch, verdict: &Verdict) {
        if batch.flows.is_empty() {
            return;
        }
        self.ring(batch.class).in_flight -= 1;
        // 1. Free the room, and judge the flows.
        //    A timeout makes a flow a suspect, and a suspect blocked.
        //    An acknowledged write clears the suspicion.
        for id in &batch.flows {
            let timed_out = verdict.all_timed_out || verdict.timed_out.contains(id);
            let Some(flow) = self.table.get_mut(*id) else { continue };
            flow.in_flight = 0;
            self.pending -= std::mem::take(&mut flow.room_in_flight);
            match &mut flow.suspicion {
                Some(suspicion) if timed_out => suspicion.blocked = true,
                None if timed_out => flow.suspicion = Some(self.suspects.add(*id)),
                suspicion if verdict.acknowledged => *suspicion = None,
                _ => {}
            }
        }
        // 2. Queue the flows again, or list them as idle.
        batch.flows.drain(..).for_each(|id| self.wait_for_turn(id));
        // 3. Forget the oldest suspects if there are too many.
        while let Some((id, suspicion)) = self.suspects.too_many() {
            if let Some(flow) = self.table.get_mut(id)
                && flow.suspicion.is_some_and(|own| own.number == suspicion)
            {
                flow.suspicion = None;
                self.table.list_if_idle(id);
            }
        }
    }

    /// Takes all waiting requests.
    pub(super) fn take_waiting(&mut self) -> Vec<WriteRequest> {
        let mut taken = Vec::new();
        for class in [Class::Light, Class::Heavy, Class::Suspect, Class::Blocked] {
            while let Some(id) = self.ring(class).flows.pop_front() {
                if let Some(flow) = self.table.get_mut(id) {
                    flow.waiting = 0;
                    let room = flow.requests.iter().map(|request| room_of(request, self.bound));
                    self.pending -= room.sum::<usize>();
                    taken.extend(flow.requests.drain(..));
                }
                self.table.list_if_idle(id);
            }
        }
        taken
    }

    /// Returns the class of the next batch, if one may be sent.
    ///
    /// Heavy flows leave one lane to the light ones (of two lanes or more),
    /// because light batches are short, unless there has been no light batch for long.
    /// Then the next light batch has an extra lane.
    /// Light flows leave one lane to the heavy ones while these wait.
    /// With one lane they take turns.
    fn next_class(&mut self) -> Option<Class> {
        // 1. A light flow may have got a backlog while it waited. Move it to the heavy ring.
        while let Some(&id) = self.light.flows.front() {
            if !self.has_backlog(id) {
                break;
            }
            self.light.flows.pop_front();
            self.wait_for_turn(id);
        }
        // 2. Light and heavy flows share the lanes.
        if self.light.in_flight + self.heavy.in_flight < self.lanes {
            let light = !self.light.flows.is_empty();
            let heavy = !self.heavy.flows.is_empty() && self.heavy.in_flight < self.most_heavy();
            let is_turn_of_heavy = self.heavy.in_flight == 0 && self.heavy_in_a_row == 0;
            if heavy && (!light || is_turn_of_heavy) {
                return Some(Class::Heavy);
            }
            if light {
                return Some(Class::Light);
            }
        } else if !self.light.flows.is_empty() && self.has_extra_lane() {
            return Some(Class::Light);
        }
        // 3. Suspects have lanes of their own, and blocked flows use at most half of these.
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
        match self.heavy_in_a_row < LONG_WITHOUT_LIGHT * self.lanes {
            true => (self.lanes - 1).max(1),
            false => self.lanes,
        }
    }

    /// Returns whether heavy flows use all lanes. With one lane they may.
    fn has_extra_lane(&self) -> bool {
        self.lanes > 1 && self.heavy.in_flight == self.lanes && self.light.in_flight == 0
    }

    fn backlog(&self) -> usize {
        (self.max_batch / BACKLOG).max(1)
    }

    fn has_backlog(&self, id: usize) -> bool {
        self.table.get(id).is_some_and(|flow| flow.class(self.backlog()) == Class::Heavy)
    }

    /// Puts a flow that is not in flight into the ring of its class, if it has waiting writes.
    fn wait_for_turn(&mut self, id: usize) {
        // A flow without waiting writes is idle.
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
