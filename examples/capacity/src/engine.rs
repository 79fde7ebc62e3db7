//! From calls a second to the time that a call waits.
//!
//! A batch of `b` entries takes a server `fixed + each * b`. Both numbers follow from two measured
//! batch sizes. With natural batching each instance of the service has one batch of each kind in
//! flight, two for reads, and calls that arrive meanwhile form the next one. A server that is busy serves
//! the batches of all instances in turn. A round takes
//!
//! `R = n * fixed + R * load`, so `R = n * fixed / (1 - load)`,
//!
//! where `n * fixed` is the fixed part of all batches in flight and `load` the sum of `each * rate`
//! over all kinds. A call that has just missed a batch waits for a round and takes another. As calls
//! arrive at any moment of a round, 95 of 100 take at most 1.95 rounds.

use crate::constants as measured;
use crate::constants::Measured;
use crate::{Assumptions, Backend, Case, Workload};

/// The rounds within which 95 of 100 calls are answered.
pub(crate) const ROUNDS: f64 = 1.95;

/// The time for which a count is kept: `count_cache=5s`.
const COUNT_AGE: f64 = 5.0;

/// The time of a batch, in seconds: `fixed + each * entries`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) fixed: f64,
    pub(crate) each: f64,
}

impl Line {
    /// The line through two batch sizes and their measured entries a second.
    fn through((few, slow): (f64, Measured), (many, fast): (f64, Measured)) -> Self {
        let (short, long) = (few / slow.value, many / fast.value);
        let each = (long - short) / (many - few);
        Self { fixed: short - each * few, each }
    }

    fn scaled(self, factor: f64) -> Self {
        Self { fixed: self.fixed * factor, each: self.each * factor }
    }
}

/// The cost of the calls of each kind for one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine {
    pub(crate) hot_write: Line,
    pub(crate) write: Line,
    pub(crate) read: Line,
    pub(crate) count: Line,
    /// Whether a user's list is in one place, however many servers there are.
    pub(crate) has_user_index: bool,
}

impl Engine {
    /// The measured costs of a backend. The memory store has none that matters beside HTTP.
    pub(crate) fn of(backend: Backend) -> Option<Self> {
        use measured::*;
        match backend {
            Backend::Memory => None,
            Backend::Sqlite => Some(Self {
                hot_write: Line::through((1.0, SQLITE_HOT_WRITES_1), (1e3, SQLITE_HOT_WRITES_1000)),
                write: Line::through((1.0, SQLITE_HOT_WRITES_1), (1e3, SQLITE_WRITES_10M)),
                read: Line::through((1.0, SQLITE_READS_1), (1e3, SQLITE_READS_10M)),
                // Counts were not measured. Like a membership, one is a look-up of a row.
                count: Line::through((1.0, SQLITE_READS_1), (1e3, SQLITE_READS_10M)),
                has_user_index: false,
            }),
            Backend::Postgres => Some(Self {
                hot_write: Line::through(
                    (16.0, POSTGRES_HOT_WRITES_16),
                    (256.0, POSTGRES_HOT_WRITES_256),
                ),
                write: Line::through((16.0, POSTGRES_WRITES_16), (256.0, POSTGRES_WRITES_256)),
                read: Line::through((1.0, POSTGRES_READS_1), (256.0, POSTGRES_READS_256)),
                count: Line::through((1.0, POSTGRES_COUNTS_1), (256.0, POSTGRES_COUNTS_256)),
                has_user_index: false,
            }),
            Backend::Redis => Some(Self {
                hot_write: Line::through((1.0, REDIS_HOT_WRITES_1), (256.0, REDIS_HOT_WRITES_256)),
                write: Line::through((1.0, REDIS_WRITES_1), (256.0, REDIS_WRITES_256)),
                read: Line::through((1.0, REDIS_READS_1), (256.0, REDIS_READS_256)),
                count: Line::through((1.0, REDIS_COUNTS_1), (256.0, REDIS_COUNTS_256)),
                has_user_index: true,
            }),
        }
    }

    /// The same in a cluster, where a write is made in two steps.
    pub(crate) fn clustered(self, factor: f64) -> Self {
        Self { hot_write: self.hot_write.scaled(factor), write: self.write.scaled(factor), ..self }
    }

    /// The share of its time that the busiest of `shards` servers works, in large batches, if each
    /// event is on `spread` of them.
    pub(crate) fn load(&self, calls: &Calls, shards: f64, spread: f64) -> f64 {
        // The hottest event is on `spread` shards, and everything else on all of them.
        let hot = calls.hot_writes * self.hot_write.each + calls.hot_questions * self.read.each;
        let rest = calls.writes * self.write.each + calls.questions * self.read.each;
        // A count asks each shard of its event. A list asks each shard of all, or the one node of a
        // cluster that has the user's index.
        let counts = calls.counts * self.count.each * spread;
        let lists = calls.lists * self.read.each * if self.has_user_index { 1.0 } else { shards };
        hot / spread + (rest + counts + lists) / shards
    }

    /// The time of a round in seconds, for `instances` of the service. The load must be below 1.
    pub(crate) fn round(&self, instances: f64, load: f64) -> f64 {
        let [hot, write, read, count] =
            [self.hot_write, self.write, self.read, self.count].map(|line| line.fixed);
        instances * (hot + write + 2.0 * read + 2.0 * count) / (1.0 - load)
    }
}

/// The calls that reach the store, each second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    hot_writes: f64,
    hot_questions: f64,
    writes: f64,
    questions: f64,
    /// Those that the caches do not answer.
    counts: f64,
    /// In questions.
    lists: f64,
}

impl Calls {
    pub(crate) fn of(
        work: &Workload,
        instances: f64,
        assumptions: &Assumptions,
        case: Case,
    ) -> Self {
        // Counts are spread over all events, so that most are asked for once in a long while. An
        // instance reads an event once, and then not for the age of its count.
        let asked = work.questions / instances / work.events * COUNT_AGE;
        let missed = work.questions / (1.0 + asked);
        Self {
            hot_writes: work.hot_writes,
            hot_questions: work.hot_questions,
            writes: work.writes,
            questions: work.questions,
            counts: missed + instances / COUNT_AGE,
            lists: work.lists * assumptions.list_cost.of(case),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_the_measured_rates_again() {
        let engine = Engine::of(Backend::Postgres).unwrap();
        for (line, size, rate) in [
            (engine.hot_write, 16.0, measured::POSTGRES_HOT_WRITES_16),
            (engine.hot_write, 256.0, measured::POSTGRES_HOT_WRITES_256),
            (engine.read, 256.0, measured::POSTGRES_READS_256),
        ] {
            let predicted = size / (line.fixed + line.each * size);
            assert!((predicted / rate.value - 1.0).abs() < 1e-9, "{}", rate.name);
        }
    }

    /// The batch size that was not used for the line.
    #[test]
    fn a_line_predicts_a_third_batch_size_within_a_twentieth() {
        let engine = Engine::of(Backend::Postgres).unwrap();
        let predicted = 1024.0 / (engine.hot_write.fixed + engine.hot_write.each * 1024.0);
        assert!((predicted / 63_000.0 - 1.0).abs() < 0.05, "{predicted}");
    }

    #[test]
    fn every_line_rises() {
        for backend in [Backend::Sqlite, Backend::Postgres, Backend::Redis] {
            let engine = Engine::of(backend).unwrap();
            for line in [engine.hot_write, engine.write, engine.read, engine.count] {
                assert!(line.fixed > 0.0 && line.each > 0.0, "{backend:?}: {line:?}");
            }
        }
    }
}
