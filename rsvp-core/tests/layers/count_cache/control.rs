//! What happens to the calls of a store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsvp_core::{Error, Result};
use tokio::sync::watch;
use tokio::time::sleep;

/// A point that every call passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Point {
    /// Nothing has been read or written yet.
    Before,
    /// It has taken effect; the answer is on its way.
    After,
}

#[derive(Clone, Debug, Default)]
struct State {
    held: Option<Point>,
    takes: Duration,
    /// Up to so much is added to each half of a call.
    jitter: Duration,
    error: Option<(Point, Error)>,
    /// The error is that of the next call alone.
    once: bool,
}

/// Holds, delays and fails the calls of one kind.
#[derive(Debug)]
pub(crate) struct Control {
    state: watch::Sender<State>,
    random: AtomicU64,
}

impl Default for Control {
    fn default() -> Self {
        let random = AtomicU64::new(rsvp_testkit::seed());
        Self { state: watch::Sender::default(), random }
    }
}

impl Control {
    /// Stops calls at `point` until [`release`](Self::release).
    pub(crate) fn hold(&self, point: Point) {
        self.state.send_modify(|state| state.held = Some(point));
    }

    pub(crate) fn release(&self) {
        self.state.send_modify(|state| state.held = None);
    }

    /// Each call takes so long, before it takes effect.
    pub(crate) fn takes(&self, time: Duration) {
        self.state.send_modify(|state| state.takes = time);
    }

    /// Each call takes up to so long before its effect, and up to as long after it.
    pub(crate) fn takes_about(&self, time: Duration) {
        self.state.send_modify(|state| state.jitter = time);
    }

    /// Calls fail at `point`.
    pub(crate) fn fail(&self, point: Point, error: Error) {
        self.state.send_modify(|state| state.error = Some((point, error)));
    }

    /// The next call fails at `point`.
    pub(crate) fn fail_once(&self, point: Point, error: Error) {
        self.state.send_modify(|state| (state.error, state.once) = (Some((point, error)), true));
    }

    pub(crate) fn heal(&self) {
        self.state.send_modify(|state| state.error = None);
    }

    pub(super) async fn pass(&self, point: Point) -> Result<()> {
        let mut states = self.state.subscribe();
        let State { takes, jitter, .. } = states.borrow().clone();
        let takes = if point == Point::Before { takes } else { Duration::ZERO };
        let pause = takes + jitter.mul_f64(self.random());
        if !pause.is_zero() {
            sleep(pause).await;
        }
        let state = states.wait_for(|state| state.held != Some(point)).await.unwrap().clone();
        match state.error {
            Some((at, error)) if at == point => {
                if state.once {
                    self.state.send_modify(|state| (state.error, state.once) = (None, false));
                }
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// From 0 to 1: `SplitMix64` (Steele, Lea, Flood 2014).
    fn random(&self) -> f64 {
        let state = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
    }
}
