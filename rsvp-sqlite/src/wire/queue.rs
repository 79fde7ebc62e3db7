//! A bounded queue between calls and threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a queue refuses a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// The result of waiting for jobs.
#[derive(Debug)]
pub(crate) enum Taken<J> {
    Jobs(Vec<J>),
    /// No job came in time.
    Nothing,
    /// The queue is closed and empty.
    End,
}

/// Jobs in the order of their arrival, each with its number of entries.
#[derive(Debug)]
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    /// With this number of waiting entries or more, jobs are refused.
    bound: usize,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<(usize, J)>,
    entries: usize,
    closed: bool,
}

impl<J> Queue<J> {
    pub(crate) fn new(bound: usize) -> Self {
        let state = State { jobs: VecDeque::new(), entries: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), bound }
    }

    /// Adds all jobs or none.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = (usize, J)>) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.entries >= self.bound {
            return Err(Refusal::Full);
        }
        for (entries, job) in jobs {
            state.entries = state.entries.saturating_add(entries);
            state.jobs.push_back((entries, job));
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes the first ones, until they have `most` entries together.
    /// Without a `patience` it waits until the queue has a job or is closed.
    pub(crate) fn take(&self, most: usize, patience: Option<Duration>) -> Taken<J> {
        let mut state = self.lock();
        // 1. Wait for a job, the end of the time or the end of the queue.
        while state.jobs.is_empty() {
            if state.closed {
                return Taken::End;
            }
            state = match patience {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(time) => {
                    let waited = self.changed.wait_timeout(state, time);
                    let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    // A job may have come just as the time ended, so the queue decides.
                    if waited.timed_out() && state.jobs.is_empty() && !state.closed {
                        return Taken::Nothing;
                    }
                    state
                }
            };
        }
        // 2. Take the first jobs. A job is never divided.
        let (mut taken, mut entries) = (Vec::new(), 0);
        while entries < most {
            let Some((of_job, job)) = state.jobs.pop_front() else { break };
            entries += of_job;
            taken.push(job);
        }
        state.entries = state.entries.saturating_sub(entries);
        Taken::Jobs(taken)
    }

    /// Refuses every job from now on. Threads still take the waiting ones.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Returns whether the queue is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No code panics halfway through a change of the state, so a poisoned lock is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<J>(queue: &Queue<J>, most: usize) -> Option<Vec<J>> {
        match queue.take(most, Some(Duration::ZERO)) {
            Taken::Jobs(jobs) => Some(jobs),
            Taken::Nothing | Taken::End => None,
        }
    }

    #[test]
    fn jobs_are_taken_in_order_up_to_a_number_of_entries() {
        let queue = Queue::new(10);
        queue.push([(2, 'a'), (2, 'b'), (9, 'c'), (1, 'd')]).unwrap();
        assert_eq!(taken(&queue, 3), Some(vec!['a', 'b']));
        assert_eq!(taken(&queue, 3), Some(vec!['c']), "a job is never divided");
        assert_eq!(taken(&queue, 3), Some(vec!['d']));
        assert_eq!(taken(&queue, 3), None);
    }

    #[test]
    fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
        let queue = Queue::new(3);
        queue.push([(2, 'a')]).unwrap();
        queue.push([(1000, 'b')]).unwrap();
        assert_eq!(queue.push([(1, 'c')]), Err(Refusal::Full));
        assert_eq!(taken(&queue, 1), Some(vec!['a']));
        assert_eq!(queue.push([(1, 'c')]), Err(Refusal::Full), "1,000 still wait");
        assert_eq!(taken(&queue, 1), Some(vec!['b']));
        queue.push([(1, 'c')]).unwrap();
    }

    #[test]
    fn a_closed_queue_gives_away_what_it_has() {
        let queue = Queue::new(3);
        queue.push([(1, 'a')]).unwrap();
        queue.close();
        assert_eq!(queue.push([(1, 'b')]), Err(Refusal::Closed));
        assert_eq!(taken(&queue, 1), Some(vec!['a']));
        assert!(matches!(queue.take(1, None), Taken::End));
    }
}
