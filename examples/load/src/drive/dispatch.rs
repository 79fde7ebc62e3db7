//! The clock of an open loop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::caller::Run;
use super::schedule::{Schedule, TICK};

/// The generator is behind when it is later than this with more than [`TOLERATED`] of the calls.
const BEHIND: Duration = Duration::from_millis(100);
const TOLERATED: f64 = 0.01;
/// The longest sleep of the clock, since it looks for the end of the run in between.
const NAP: Duration = Duration::from_millis(50);

/// Milliseconds after the end of the run in which callers may take the last calls.
const SETTLE: u32 = 50;

/// A thread that releases calls when they are due. A runtime's timers have steps of a millisecond and
/// fire late when its threads are busy, which would count as latency of the store.
#[derive(Debug)]
pub(super) struct Dispatch {
    queue: Arc<Queue>,
    clock: Option<JoinHandle<bool>>,
}

/// Calls that are due and that no caller has taken.
#[derive(Debug)]
pub(super) struct Queue {
    permits: Semaphore,
    due: Mutex<VecDeque<(Duration, u64)>>,
}

impl Dispatch {
    pub(super) fn start(run: &Arc<Run>, schedule: Schedule) -> Self {
        let queue = Arc::new(Queue { permits: Semaphore::new(0), due: Mutex::default() });
        let (run, released) = (Arc::clone(run), Arc::clone(&queue));
        let clock = std::thread::Builder::new().name("load clock".to_owned());
        let clock = clock.spawn(move || {
            let saturated = tick(&run, &schedule, &released);
            released.settle();
            saturated
        });
        if clock.is_err() {
            queue.permits.close();
        }
        Self { queue, clock: clock.ok() }
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Waits for the end of the clock, which is near; whether the generator fell behind.
    pub(super) fn end(self) -> bool {
        self.clock.is_none_or(|clock| clock.join().unwrap_or(true))
    }
}

/// Releases calls until the run ends; whether the generator fell behind.
fn tick(run: &Run, schedule: &Schedule, queue: &Queue) -> bool {
    let (mut time, mut released, mut late, mut saturated) = (Duration::ZERO, 0, 0, false);
    let mut phase = schedule.phase_end(time);
    while time < schedule.end() {
        time += TICK;
        let due = schedule.due_by(time) - released;
        while let Some(left) = time.checked_sub(run.now()).filter(|_| due > 0) {
            std::thread::park_timeout(left.min(NAP));
            if run.is_over() {
                return saturated;
            }
        }
        if due > 0 {
            if run.now().saturating_sub(time) > BEHIND {
                late += due;
            }
            queue.release(time, due);
            released += due;
        }
        if let Some((end, calls)) = phase.filter(|(end, _)| *end <= time) {
            saturated |= queue.waiting(end.saturating_sub(BEHIND)) as f64 > calls * TOLERATED;
            phase = schedule.phase_end(end);
        }
    }
    saturated || late as f64 > released as f64 * TOLERATED
}

impl Queue {
    fn release(&self, time: Duration, calls: u64) {
        self.lock().push_back((time, calls));
        self.permits.add_permits(usize::try_from(calls).unwrap_or(Semaphore::MAX_PERMITS));
    }

    /// The number of calls that have been due since `time` or longer.
    pub(super) fn waiting(&self, time: Duration) -> u64 {
        self.lock().iter().filter(|(due, _)| *due <= time).map(|(_, calls)| calls).sum()
    }

    /// Lets free callers take the calls of the last moment, and no others.
    fn settle(&self) {
        for _ in 0..SETTLE {
            if self.lock().is_empty() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        self.permits.close();
    }

    /// Waits for the next call, and returns when it was due. `None` after the end of the run.
    pub(super) async fn next(&self) -> Option<Duration> {
        self.permits.acquire().await.ok()?.forget();
        let mut due = self.lock();
        let (time, calls) = due.front_mut()?;
        let time = *time;
        *calls -= 1;
        if *calls == 0 {
            due.pop_front();
        }
        Some(time)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Duration, u64)>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
