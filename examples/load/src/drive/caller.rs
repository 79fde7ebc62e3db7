//! One caller, which makes one call after another.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep_until};

use super::dispatch::Queue;
use super::{Stop, given_up};
use crate::measure::Recorder;
use crate::plan::{Phase, Plan};
use crate::target::{Failed, Target};
use crate::world::{Call, Operation, World};

/// A caller lets others run after this many calls, since a store in memory never waits.
const TURN: u32 = 32;

/// A run that is going on.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) target: Arc<dyn Target>,
    pub(super) world: Arc<World>,
    pub(super) recorder: Recorder,
    pub(super) plan: Plan,
    /// Ends the run early.
    pub(super) stop: Stop,
    /// Whether the time of the run is over.
    pub(super) ended: Stop,
    pub(super) start: Instant,
    pub(super) phases: Vec<Phase>,
}

impl Run {
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.is_stopped() || self.ended.is_stopped()
    }

    /// Makes calls until the run is over, and gives up the last one if it does not end then.
    pub(super) async fn caller(self: Arc<Self>, caller: usize, queue: Option<Arc<Queue>>) {
        let seed = self.plan.seed.wrapping_add((caller as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut one = Caller {
            run: &self,
            number: caller,
            rng: SmallRng::seed_from_u64(seed),
            current: None,
        };
        let calls = async {
            match queue {
                Some(queue) => one.open(&queue).await,
                None => one.closed().await,
            }
        };
        let ended = tokio::select! {
            () = calls => true,
            () = given_up(&self.ended) => false,
        };
        if let Some(operation) = one.current.filter(|_| !ended) {
            let failed = Failed::new("unfinished", "the call did not end after the run");
            self.recorder.failed(caller, operation, failed);
        }
    }

    fn phase(&self, now: Duration) -> Option<&Phase> {
        self.phases.iter().find(|phase| now < phase.until)
    }
}

struct Caller<'a> {
    run: &'a Run,
    number: usize,
    rng: SmallRng,
    /// The call in flight.
    current: Option<Operation>,
}

impl Caller<'_> {
    async fn closed(&mut self) {
        let run = self.run;
        let mut calls = 0_u32;
        while let Some(phase) = run.phase(run.now()).filter(|_| !run.is_over()) {
            let callers = (run.plan.callers as f64 * phase.callers).ceil();
            if self.number as f64 >= callers {
                tokio::select! {
                    () = sleep_until(run.start + phase.until) => continue,
                    () = run.stop.stopped() => break,
                }
            }
            self.call(phase, None).await;
            calls = calls.wrapping_add(1);
            if calls.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn open(&mut self, queue: &Queue) {
        while let Some(due) = queue.next().await {
            // The mix of the moment at which the call was due, and not of the one at which it begins.
            let Some(phase) = self.run.phase(due).or(self.run.phases.last()) else { break };
            self.call(phase, Some(due)).await;
        }
    }

    /// Makes a call. Its latency counts from the moment at which it was due.
    async fn call(&mut self, phase: &Phase, due: Option<Duration>) {
        let run = self.run;
        let began = run.now();
        let Some(call) = run.world.draw(&phase.mix, &mut self.rng, began) else { return };
        let operation = call.operation();
        self.current = Some(operation);
        let answer = self.answer(call).await;
        self.current = None;
        match answer {
            Ok(ended) => {
                let latency = ended.saturating_sub(due.unwrap_or(began));
                run.recorder.answered(self.number, operation, latency);
            }
            Err(failed) => run.recorder.failed(self.number, operation, failed),
        }
    }

    /// Waits for the answer and notes its meaning; when it came.
    async fn answer(&self, call: Call) -> Result<Duration, Failed> {
        let Run { target, world, recorder, .. } = self.run;
        let now = || self.run.now();
        match call {
            Call::Write { write, place, before } => {
                let answer = target.write(&write).await;
                let ended = now();
                match answer {
                    Ok(outcome) => world.wrote(&write, place, before, outcome, ended),
                    Err(failed) => {
                        world.failed(&write, place, before, failed.effect, ended);
                        return Err(failed);
                    }
                }
                Ok(ended)
            }
            Call::HasRsvped { pair, place, seen } => {
                let answer = target.has_rsvped(&pair).await?;
                let ended = now();
                if world.misses(place, seen, answer) {
                    recorder.missed(self.number);
                }
                Ok(ended)
            }
            Call::RsvpCount { event, place, began } => {
                let count = target.rsvp_count(&event).await?;
                let ended = now();
                recorder.stale(self.number, world.staleness(place, count, began));
                Ok(ended)
            }
            Call::Attendees { event } => target.attendees(&event).await.map(|_| now()),
            Call::EventsOf { user } => target.events_of(&user).await.map(|_| now()),
        }
    }
}
