//! Making the calls of a plan.

mod caller;
mod dispatch;
mod schedule;
mod stop;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::caller::Run;
use self::dispatch::Dispatch;
use self::schedule::Schedule;
use crate::measure::{Measured, Tick};
use crate::plan::Plan;
use crate::target::Target;
use crate::world::World;
use crate::{Failure, measure::Recorder};

pub use self::stop::Stop;

/// How long calls may take to end after the time of the run.
const GRACE: Duration = Duration::from_secs(10);
/// A tick is a fortieth of the run, within these bounds.
const TICKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

type OnTick = dyn Fn(&Tick) + Send + Sync;

/// A plan and the target that it is carried out on.
#[derive(Clone)]
pub struct Load {
    target: Arc<dyn Target>,
    plan: Plan,
    stop: Stop,
    on_tick: Arc<OnTick>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("target", &self.target)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl Load {
    /// Calls of `plan` on `target`.
    pub fn new(target: Arc<dyn Target>, plan: Plan) -> Self {
        Self { target, plan, stop: Stop::new(), on_tick: Arc::new(|_| {}) }
    }

    /// Ends the run early when `stop` says so.
    #[must_use]
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// Calls `on_tick` about once a second, with the figures since the last time.
    #[must_use]
    pub fn with_ticks(self, on_tick: impl Fn(&Tick) + Send + Sync + 'static) -> Self {
        Self { on_tick: Arc::new(on_tick), ..self }
    }

    /// Fills the target with new users and events, makes the calls, and removes the users and events.
    ///
    /// # Errors
    ///
    /// If the target cannot be filled. Failed calls are a part of the measurements.
    pub async fn run(&self) -> Result<Measured, Failure> {
        // Ids that no run has had. The standard library seeds its hashers from the system.
        let tag = format!("{:06x}-", RandomState::new().hash_one(()) >> 40);
        let world = Arc::new(World::new(&self.plan, &tag)?);
        self.target.fill(&world.present()).await?;
        let mut measured = self.drive(Arc::clone(&world)).await;
        if let Err(failed) = self.target.clear(world.events(), world.users()).await {
            measured.messages.insert("not removed".to_owned(), failed.to_string());
        }
        Ok(measured)
    }

    async fn drive(&self, world: Arc<World>) -> Measured {
        let phases = self.plan.phases();
        let start = Instant::now();
        let run = Arc::new(Run {
            target: Arc::clone(&self.target),
            world,
            recorder: Recorder::new(),
            plan: self.plan.clone(),
            stop: self.stop.clone(),
            ended: Stop::new(),
            start,
            phases: phases.clone(),
        });
        let schedule = self.plan.rate.is_some().then(|| Schedule::new(&phases));
        let dispatch = schedule.clone().map(|schedule| Dispatch::start(&run, schedule));
        let mut callers = JoinSet::new();
        for caller in 0..self.plan.callers {
            let (run, queue) = (Arc::clone(&run), dispatch.as_ref().map(Dispatch::queue));
            callers.spawn(run.caller(caller, queue));
        }

        let ticks = self.watch(&run, schedule.as_ref()).await;
        run.ended.stop();
        let queue = dispatch.as_ref().map(Dispatch::queue);
        let saturated = dispatch.is_some_and(Dispatch::end);
        callers.join_all().await;
        let mut measured = run.recorder.measured();
        measured.not_begun = queue.map_or(0, |queue| queue.waiting(Duration::MAX));
        (measured.ticks, measured.saturated, measured.elapsed) =
            (ticks, saturated, start.elapsed());
        let bursts = phases.iter().filter(|phase| phase.name == "burst");
        measured.bursts = bursts.map(|phase| (phase.from, phase.until)).collect();
        measured
    }

    /// Takes a tick at a time until the run ends.
    async fn watch(&self, run: &Run, schedule: Option<&Schedule>) -> Vec<Tick> {
        let every = (self.plan.time / 40).clamp(TICKS.0, TICKS.1);
        let (mut ticks, mut last) = (Vec::new(), Duration::ZERO);
        while last < self.plan.time && !self.stop.is_stopped() {
            let next = (last + every).min(self.plan.time);
            tokio::select! {
                () = tokio::time::sleep_until(run.start + next) => {}
                () = self.stop.stopped() => {}
            }
            let now = run.now().max(last + Duration::from_millis(1));
            let length = now - last;
            let offered =
                schedule.map(|schedule| schedule.between(last, now) / length.as_secs_f64());
            let tick = run.recorder.tick(now, length, offered);
            (self.on_tick)(&tick);
            ticks.push(tick);
            last = now;
        }
        ticks
    }
}

/// Waits until calls of an ended run are given up.
async fn given_up(ended: &Stop) {
    ended.stopped().await;
    sleep(GRACE).await;
}
