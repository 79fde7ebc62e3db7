//! Batches of any length: they are taken in pieces, and each piece stands for itself.

use std::time::Duration;

use crate::support::{counts, event, held, open, prefix, user, write};
use rsvp_core::{Effect, Error, EventId, Outcome, Rsvp, RsvpStore, Write, WriteOptions};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisCluster, RedisServer};
use tokio::time::Instant;

const PAIRS: usize = 300_000;
const EVENTS: usize = 15_000;

/// Half of the pairs are of one event, and some of those of one user.
fn pairs() -> Vec<Rsvp> {
    let pair = |n: usize| match n {
        n if n % 2 == 0 => Rsvp::new(user(n), event("hot")),
        n if n < EVENTS => Rsvp::new(user("fan"), event(n)),
        n => Rsvp::new(user(n), event(n % EVENTS)),
    };
    (0..PAIRS).map(pair).collect()
}

async fn a_large_batch_is_taken(store: &RedisStore) {
    let pairs = pairs();
    let change = |change: fn(_, _) -> Write| -> Vec<Write> {
        pairs.iter().map(|pair| change(pair.user.clone(), pair.event.clone())).collect()
    };
    let began = Instant::now();
    let outcomes = write(store, &change(Write::rsvp)).await.unwrap();
    println!("{PAIRS} RSVPs took {:?}", began.elapsed());
    assert!(outcomes.into_iter().all(Outcome::is_applied));
    let began = Instant::now();
    assert!(held(store, &pairs).await.unwrap().into_iter().all(|held| held));
    println!("{PAIRS} memberships took {:?}", began.elapsed());
    let events: Vec<EventId> = (0..EVENTS).map(event).collect();
    let of_events = counts(store, &events).await.unwrap();
    assert_eq!(of_events.iter().sum::<u64>(), PAIRS as u64 / 2);
    assert_eq!(counts(store, &[event("hot")]).await.unwrap(), [PAIRS as u64 / 2]);
    let cancelled = write(store, &change(Write::cancel)).await.unwrap();
    assert!(cancelled.into_iter().all(Outcome::is_applied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_takes_a_batch_of_300_000() {
    let url = RedisServer::shared().await.url();
    a_large_batch_is_taken(&open(&format!("{url}?prefix={}", prefix())).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_takes_a_batch_of_300_000() {
    let url = RedisCluster::shared().await.url();
    a_large_batch_is_taken(&open(&format!("{url}?prefix={}", prefix())).await).await;
}

/// A batch that a deadline cuts in two. The time that the whole takes is looked for by trying.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_entries_that_a_deadline_leaves_out_fail_alone() {
    let server = RedisServer::shared().await;
    let proxy = Proxy::start(server.port()).await;
    let url = format!("redis://127.0.0.1:{}?prefix={}", proxy.port(), prefix());
    let store = open(&url).await;
    // A piece takes a tenth of a second at least.
    proxy.set_delay(Duration::from_millis(50));
    let mut deadline = Duration::from_millis(1_000);
    for attempt in 0..12 {
        let pairs: Vec<Rsvp> = (0..80_000)
            .map(|n| Rsvp::new(user(n), event(format!("{attempt}/{}", n % 50))))
            .collect();
        let rsvp = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
        let batch: Vec<Write> = pairs.iter().map(rsvp).collect();
        let options = WriteOptions::default().with_timeout(deadline);
        let began = Instant::now();
        let receipt = store.write_batch(&batch, &options).await.unwrap();
        let took = began.elapsed();
        let done = receipt.results.iter().filter(|result| result.is_ok()).count();
        println!("{done} of {} within {took:?} of {deadline:?}", pairs.len());
        let held = held(&store, &pairs).await.unwrap();
        for ((pair, result), held) in pairs.iter().zip(&receipt.results).zip(held) {
            match result {
                Ok(_) => assert!(held, "{pair:?} was acknowledged"),
                Err(error) if error.effect() == Effect::NotApplied => {
                    assert!(!held, "{pair:?}: {error:?}");
                }
                // Under way at the deadline.
                Err(error) => assert!(matches!(error, Error::TimedOut { .. }), "{error:?}"),
            }
        }
        match done {
            0 => deadline = deadline.mul_f64(1.5),
            _ if done == pairs.len() => deadline = deadline.mul_f64(0.7),
            _ => return,
        }
    }
    panic!("no deadline cut a batch in two");
}
