//! Comparing the store and the baseline in alternation, so that other work of the machine falls on
//! both.

use std::time::Duration;

use crate::Invocation;

/// How many rounds, and how long each way works in one.
#[derive(Clone, Copy, Debug)]
pub struct Alternation {
    rounds: usize,
    time: Duration,
}

impl Alternation {
    /// What the command line asks of the target `name`; nothing if it means another one.
    pub fn of(name: &str) -> Option<Self> {
        match Invocation::of(name) {
            Invocation::Skip => None,
            Invocation::Try => Some(Self { rounds: 1, time: Duration::from_millis(100) }),
            Invocation::Measure => Some(Self { rounds: 7, time: Duration::from_secs(3) }),
        }
    }

    /// The same with rounds of another length; a trial stays as short as it is.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time: time.min(self.time), ..self }
    }

    /// Runs both in turn, prints the calls of each a second, and returns the ratio of the
    /// medians.
    pub async fn compare(
        self,
        title: &str,
        mut store: impl AsyncFnMut(Duration) -> f64,
        mut baseline: impl AsyncFnMut(Duration) -> f64,
    ) -> f64 {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let (store, baseline) = (store(self.time).await, baseline(self.time).await);
            println!("round {round}: store {store:>9.0}, baseline {baseline:>9.0} a second");
            ours.push(store);
            theirs.push(baseline);
        }
        let (store, baseline) = (median(ours), median(theirs));
        let ratio = store / baseline;
        println!("{title}: store {store:.0}, baseline {baseline:.0} a second, ratio {ratio:.2}\n");
        ratio
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
