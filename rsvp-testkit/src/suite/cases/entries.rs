//! Every entry has its own answer.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use rand::Rng;
use rsvp_core::{Action, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, Write, WriteOptions};
use tokio::time::sleep_until;

use crate::calls::presence_of;
use crate::ids::{event, user};
use crate::suite::subject::Trial;

pub(crate) async fn an_entry_that_fails_takes_no_other_down(trial: &Trial) {
    let (store, refused) = (&trial.store, trial.refused_event().await);
    // At the front, in the middle and at the end, next to each other and alone.
    let is_refused = |n: u32| [0, 1, 7, 12, 29].contains(&n);
    let at = |n: u32| if is_refused(n) { refused.clone() } else { event(n % 3) };
    let pairs: Vec<_> = (0..30).map(|n| Rsvp::new(user(n / 2), at(n))).collect();
    let rsvp = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
    let batch: Vec<_> = pairs.iter().map(rsvp).collect();

    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    assert_eq!(receipt.results.len(), batch.len(), "one result for each write");
    for (n, result) in (0..).zip(receipt.results) {
        assert_eq!(result.is_err(), is_refused(n), "write {n}: {result:?}");
    }
    // A read of a refused entry may fail, and may find nothing.
    let options = ReadOptions::strong();
    let answers = store.has_rsvped_batch(&pairs, &options).await.unwrap();
    assert_eq!(answers.len(), pairs.len(), "one answer for each pair");
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.unwrap_or(false), !is_refused(n), "pair {n}");
    }
    let events = [event(0), refused.clone(), event(1), refused.clone(), event(2)];
    let counts = store.rsvp_count_batch(&events, &options).await.unwrap();
    assert_eq!(counts.len(), events.len(), "one count for each event");
    for (event, count) in events.iter().zip(counts) {
        let expected = pairs.iter().filter(|pair| pair.event == *event).count() as u64;
        let expected = if *event == refused { 0 } else { expected };
        assert_eq!(count.map_or(0, |count| count.value), expected, "{event:?}");
    }

    // Single calls at the same time, so that a layer puts them into one batch.
    let alone = pairs.iter().map(|pair| store.cancel(&pair.user, &pair.event));
    for (n, receipt) in (0..).zip(join_all(alone).await) {
        assert_eq!(receipt.is_err(), is_refused(n), "cancel {n}: {receipt:?}");
    }
}

pub(crate) async fn writes_of_one_pair_in_a_batch_fail_or_succeed_together(trial: &Trial) {
    let (store, mut random) = (&trial.store, trial.rng());
    let mut events: Vec<_> = (0..3_u32).map(event).collect();
    events.extend(trial.refused_event_if_any().await);
    for round in 0..40 {
        // Few pairs and many entries, with deadlines so short that some writes fail in between.
        let batch: Vec<_> = (0..24)
            .map(|_| {
                let event = events[random.random_range(0..events.len())].clone();
                let user = user(random.random_range(0..3_u32));
                if random.random() { Write::rsvp(user, event) } else { Write::cancel(user, event) }
            })
            .collect();
        let options = WriteOptions::default()
            .with_timeout(Duration::from_micros(random.random_range(0..3000)));
        let Ok(receipt) = store.write_batch(&batch, &options).await else { continue };
        let mut fates = BTreeMap::new();
        for (write, result) in batch.iter().zip(&receipt.results) {
            let first = *fates.entry(&write.rsvp).or_insert(result.is_ok());
            assert_eq!(result.is_ok(), first, "round {round}: {:?} in {batch:?}", write.rsvp);
        }
        let pending = receipt.results.iter().filter_map(|result| result.as_ref().err()?.retry_at());
        // A pending write of the batch may still change what is read below.
        if let Some(until) = pending.max() {
            sleep_until(until.instant()).await;
        }
        // An acknowledged entry holds, even if others have failed.
        let held: BTreeMap<_, _> = batch
            .iter()
            .zip(&receipt.results)
            .filter(|(_, result)| result.is_ok())
            .map(|(write, _)| (write.rsvp.clone(), write.action == Action::Rsvp))
            .collect();
        let pairs: Vec<_> = held.keys().cloned().collect();
        let expected: Vec<_> = held.into_values().collect();
        assert_eq!(presence_of(store, &pairs).await, expected, "round {round}");
    }
}
