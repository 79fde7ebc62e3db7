//! The two kinds of batched reads: memberships and counts.

use std::collections::HashMap;

use super::read_queue::{Answered, Batch};
use crate::{Count, EventId, Operation, ReadOptions, Rsvp, RsvpStore};

/// Reads of whether pairs exist.
pub(super) struct Memberships;

impl Batch for Memberships {
    const OPERATION: Operation = Operation::HasRsvped;
    type Entry = Rsvp;
    type Answer = bool;

    async fn run<S: RsvpStore>(
        store: &S,
        pairs: Vec<Rsvp>,
        options: ReadOptions,
    ) -> Answered<Self> {
        store.has_rsvped_batch(&pairs, &options).await
    }
}

/// Counts of events. Several calls for one event share a single count.
pub(super) struct Counts;

impl Batch for Counts {
    const OPERATION: Operation = Operation::RsvpCount;
    type Entry = EventId;
    type Answer = Count;

    async fn run<S: RsvpStore>(
        store: &S,
        events: Vec<EventId>,
        options: ReadOptions,
    ) -> Answered<Self> {
        // 1. Ask for each event once, and remember the place of its count for every entry.
        let (mut distinct, mut places) = (Vec::new(), HashMap::new());
        let asked: Vec<usize> = events
            .into_iter()
            .map(|event| {
                *places.entry(event).or_insert_with_key(|event| {
                    distinct.push(event.clone());
                    distinct.len() - 1
                })
            })
            .collect();
        let counts = store.rsvp_count_batch(&distinct, &options).await?;
        // 2. Hand the counts out.
        //    The caller checks the number of answers, so a missing one is detected.
        Ok(asked.into_iter().filter_map(|at| counts.get(at).cloned()).collect())
    }
}
