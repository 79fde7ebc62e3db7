//! What becomes of a coalesced store at five times the load that it can take.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench overload
//! ```
//!
//! First a crowd of callers, each waiting for its answer, finds out the best that the store can
//! take. Then five times as many RSVPs a second are begun, whatever becomes of those before. Told
//! are the completed ones as a part of the best, how long refusals took, and how much memory the
//! process has gained. Once over a backend that takes its time and no processor (a batch takes 5 ms
//! and 50 µs for each entry), and once over Postgres, where making so much load takes processors
//! from the server.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "output is what it is for"
)]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use rsvp_benches::{Crowd, Database, Invocation, Pairs, Simulated};
use rsvp_core::{CoalesceConfig, Error, RsvpStore, RsvpStoreExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const EVENTS: u64 = 10_000;
const TIMES: f64 = 5.0;

/// How many bytes of memory this process has in use.
fn memory() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[derive(Debug, Default)]
struct Seen {
    completed: AtomicU64,
    refusals: Mutex<Vec<Duration>>,
}

/// Begins `rate` RSVPs a second for `time`.
async fn press(store: &Arc<dyn RsvpStore>, pairs: &Pairs, rate: f64, time: Duration) -> Seen {
    let seen = Arc::new(Seen::default());
    let began = Instant::now();
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut begun = 0;
    while began.elapsed() < time {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        for _ in begun..due {
            let (store, seen) = (store.clone(), seen.clone());
            let pair = pairs.nth(pairs.number());
            let mut call = Box::pin(async move {
                let asked = Instant::now();
                match store.rsvp(&pair.user, &pair.event).await {
                    // What comes later is not of this time.
                    Ok(_) if began.elapsed() <= time => {
                        seen.completed.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) => {}
                    Err(Error::Overloaded { .. }) => {
                        seen.refusals.lock().expect("a list").push(asked.elapsed());
                    }
                    Err(error) => panic!("{error}"),
                }
            });
            // What is refused costs no task.
            if call.as_mut().now_or_never().is_none() {
                tokio::spawn(call);
            }
        }
        begun = due;
    }
    let offered = begun as f64 / time.as_secs_f64();
    println!("  offered {offered:.0} a second");
    // Everything ends, so the seen is ours alone in the end.
    let mut seen = seen;
    loop {
        match Arc::try_unwrap(seen) {
            Ok(seen) => return seen,
            Err(shared) => seen = shared,
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn measure(title: &str, store: Arc<dyn RsvpStore>, callers: usize, time: Duration) {
    println!("{title}");
    let pairs = Arc::new(Pairs::of(EVENTS));
    let tally = Crowd(callers).during(time, {
        let (store, pairs) = (store.clone(), pairs.clone());
        move || {
            let (store, pair) = (store.clone(), pairs.nth(pairs.number()));
            async move {
                store.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
            }
        }
    });
    let best = tally.await.per_second();
    println!("  best: {best:.0} a second from {callers} callers");
    let before = memory();
    let seen = press(&store, &pairs, TIMES * best, time).await;
    let gained = memory().saturating_sub(before) / (1 << 20);
    let completed = seen.completed.into_inner() as f64 / time.as_secs_f64();
    let part = 100.0 * completed / best;
    println!("  completed {completed:.0} a second, {part:.0} % of the best; {gained} MiB gained");
    let mut refusals = seen.refusals.into_inner().expect("a list");
    refusals.sort();
    let at = |part: f64| {
        refusals.get((refusals.len() as f64 * part) as usize).or(refusals.last()).copied()
    };
    if let (Some(median), Some(late), Some(last)) = (at(0.5), at(0.99), at(1.0)) {
        let refused = refusals.len() as f64 / time.as_secs_f64();
        println!(
            "  refused {refused:.0} a second, within {median:?} (median), {late:?} (99 %), {last:?} (all)\n"
        );
    }
}

#[tokio::main]
async fn main() {
    let time = match Invocation::of("overload") {
        Invocation::Skip => return,
        Invocation::Try => Duration::from_millis(100),
        Invocation::Measure => Duration::from_secs(5),
    };
    let config = |lanes, batch, pending| {
        CoalesceConfig::default()
            .with_lanes(lanes)
            .and_then(|config| config.with_max_batch(batch))
            .and_then(|config| config.with_max_pending(pending))
            .expect("a legal configuration")
    };
    let unhurried = Simulated::taking(Duration::from_millis(5), Duration::from_micros(50));
    let unhurried = Arc::new(unhurried.coalesced(config(4, 512, 4_096)));
    measure("a backend that takes its time", unhurried, 8_192, time).await;
    let database = Database::start().await;
    database.start_over(EVENTS).await;
    let postgres = Arc::new(database.store.clone().coalesced(config(4, 2_048, 4_096)));
    measure("Postgres", postgres, 8_192, time).await;
    database.start_over(EVENTS).await;
    let narrow = Arc::new(database.store.clone().coalesced(config(1, 64, 4_096)));
    measure("Postgres, one lane of 64", narrow, 2_048, time).await;
}
