//! The load: callers that work at the same time.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// A number of concurrent callers, each of which makes one call after another.
#[derive(Clone, Copy, Debug)]
pub struct Load(pub usize);

/// The calls that a load has made.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Finished calls.
    pub calls: u64,
    /// From the first call's start to the last one's end.
    pub elapsed: Duration,
}

impl Tally {
    /// Finished calls in a second.
    pub fn per_second(self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

impl Load {
    /// Every caller makes `times` calls; how long until all are done.
    pub async fn times<F>(
        self,
        times: u64,
        call: impl Fn() -> F + Clone + Send + 'static,
    ) -> Duration
    where
        F: Future<Output = ()> + Send,
    {
        self.run(call, move |made, _| made < times).await.elapsed
    }

    /// Every caller makes calls until the time is over, and finishes the last.
    pub async fn during<F>(
        self,
        time: Duration,
        call: impl Fn() -> F + Clone + Send + 'static,
    ) -> Tally
    where
        F: Future<Output = ()> + Send,
    {
        self.run(call, move |_, start| start.elapsed() < time).await
    }

    async fn run<F>(
        self,
        call: impl Fn() -> F + Clone + Send + 'static,
        goes_on: impl Fn(u64, Instant) -> bool + Copy + Send + 'static,
    ) -> Tally
    where
        F: Future<Output = ()> + Send,
    {
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..self.0 {
            let call = call.clone();
            callers.spawn(async move {
                let mut made = 0;
                while goes_on(made, start) {
                    call().await;
                    made += 1;
                }
                made
            });
        }
        // A caller's panic is the benchmark's.
        let calls = callers.join_all().await.into_iter().sum();
        Tally { calls, elapsed: start.elapsed() }
    }
}
