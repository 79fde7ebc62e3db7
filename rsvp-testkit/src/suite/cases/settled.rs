//! A write is settled when it returns.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{Deadline, Effect, Result, Rsvp, RsvpStore, Write, WriteOptions, Written};
use tokio::time::{sleep, sleep_until};

use crate::calls::presence_of;
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// The greatest delay of a late write.
const LATENESS: Duration = Duration::from_millis(100);

/// The time of a cancel.
/// A late RSVP may be in one batch with cancels, and is then pending as long as they are.
const CANCEL: Duration = Duration::from_secs(1);

/// A deadline that the call meets, misses, or meets with a part of its work.
fn tight(random: &mut StdRng) -> WriteOptions {
    WriteOptions::default().with_timeout(Duration::from_micros(random.random_range(0..3000)))
}

/// Returns the result of the one write of a batch.
async fn write(store: &dyn RsvpStore, write: Write, options: &WriteOptions) -> Result<Written> {
    let results = store.write_batch(&[write], options).await?.results;
    let [result] = <[_; 1]>::try_from(results).expect("one result for one write");
    result
}

async fn is_present(store: &dyn RsvpStore, pair: &Rsvp) -> bool {
    presence_of(store, std::slice::from_ref(pair)).await[0]
}

/// Returns the final state of a pair after its write. The pair was absent before.
/// If the write has failed, this waits until its error is final.
async fn settled(store: &dyn RsvpStore, pair: &Rsvp, result: Result<Written>) -> bool {
    match result.map_err(|error| error.effect()) {
        Ok(_) => true,
        Err(Effect::NotApplied) => false,
        Err(effect) => {
            if let Effect::Pending(until) = effect {
                sleep_until(until.instant()).await;
            }
            is_present(store, pair).await
        }
    }
}

pub(crate) async fn what_a_failed_write_did_not_do_it_never_does(trial: &Trial) {
    let store = &trial.store;
    let pairs: Vec<_> = (0..64_u32).map(|n| Rsvp::new(user(n), event(n % 8))).collect();
    let writes = (0..).zip(&pairs).map(|(n, pair)| async move {
        let mut random = StdRng::seed_from_u64(trial.seed ^ n);
        let rsvp = Write::rsvp(pair.user.clone(), pair.event.clone());
        let result = write(store, rsvp, &tight(&mut random)).await;
        let said = format!("{result:?}");
        // Note the state as soon as it must be final, and compare it with a later one.
        (settled(store, pair, result).await, said)
    });
    let left = join_all(writes).await;
    sleep(LATENESS).await;
    for (pair, (left, said)) in pairs.iter().zip(left) {
        assert_eq!(is_present(store, pair).await, left, "{pair:?} after {said}");
    }
}

/// Repeats a failed cancel as its error allows.
async fn cancel(store: &dyn RsvpStore, pair: &Rsvp) {
    let cancel = Write::cancel(pair.user.clone(), pair.event.clone());
    while let Err(error) =
        write(store, cancel.clone(), &WriteOptions::default().with_timeout(CANCEL)).await
    {
        assert!(error.is_retryable(), "{error:?}");
        let settled = error.retry_at().map_or(Duration::ZERO, Deadline::remaining);
        sleep(settled.max(Duration::from_millis(1))).await;
    }
}

pub(crate) async fn an_acknowledged_cancel_is_not_undone_by_an_earlier_write(trial: &Trial) {
    let (store, mut model) = (&trial.store, Model::new());
    let pairs: Vec<_> = (0..32_u32).map(|n| Rsvp::new(user(n), event(n % 4))).collect();
    join_all((0..).zip(&pairs).map(|(n, pair)| async move {
        let mut random = StdRng::seed_from_u64(trial.seed ^ n);
        for _ in 0..4 {
            // The RSVP may be late. Its error tells the moment from which a cancel is safe.
            let rsvp = Write::rsvp(pair.user.clone(), pair.event.clone());
            if let Err(error) = write(store, rsvp, &tight(&mut random)).await
                && let Some(until) = error.retry_at()
            {
                sleep_until(until.instant()).await;
            }
            cancel(store, pair).await;
        }
    }))
    .await;
    sleep(LATENESS).await;
    for pair in pairs {
        model.write(&Write::cancel(pair.user, pair.event));
    }
    model.assert_held_by(store).await;
}
