//! The throughput of a coalesced store at five times the load that it can take.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- overload
//! ```
//!
//! First a number of callers, each waiting for its answer, finds out the best that the store can
//! take. Then five times as many RSVPs a second are begun, whatever becomes of those before. The
//! output shows the completed ones as a share of the best, the time that refusals took, and the
//! most memory that the process gained, without the ids and the list of refusals that are made
//! beforehand. Both alternate, five rounds, and the best is the mean of that before and after.
//!
//! Once over a backend that takes its time and no processor (a batch takes 5 ms and 50 µs for each
//! entry), and twice over Postgres, where making so much load takes processors from the server.
//! So each round has a control: the same calls at the same rate, with four of five refused by a
//! layer that only counts. The completed calls of the control are the most that the store can
//! complete beside this load.
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use rsvp_benches::{Database, Invocation, Load, Pairs, Simulated};
use rsvp_core::layers::{Call, CoalesceConfig, CoalescedStore, Layer, LayerExt};
use rsvp_core::{Error, Result, Rsvp, RsvpStore, RsvpStoreExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const EVENTS: u64 = 10_000;
const TIMES: f64 = 5.0;

/// How many bytes of memory this process has in use.
fn memory() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Lets one call of [`TIMES`] through, and refuses the others at once.
#[derive(Debug, Default)]
struct Turnstile(AtomicU64);

impl Layer for Turnstile {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIMES as u64) {
            return call.run(store).await;
        }
        Err(Error::overloaded(call.operation()))
    }
}

#[derive(Debug, Default)]
struct Seen {
    completed: AtomicU64,
    refusals: Mutex<Vec<Duration>>,
    begun: AtomicU64,
    most_memory: AtomicU64,
}

impl Seen {
    /// With memory for so many refusals, which is in use already.
    fn with_room_for(calls: usize) -> Self {
        let mut refusals = vec![Duration::ZERO; calls];
        refusals.clear();
        Self { refusals: Mutex::new(refusals), ..Self::default() }
    }
}

/// Pairs of which none has been written, in memory, as those of a service's requests would be.
fn new_pairs(pairs: &Pairs, count: usize) -> Vec<Rsvp> {
    (0..count).map(|_| pairs.nth(pairs.number())).collect()
}

/// Begins `rate` RSVPs a second for `time`.
async fn press(store: &Arc<dyn RsvpStore>, pairs: &[Rsvp], rate: f64, time: Duration) -> Seen {
    let seen = Arc::new(Seen::with_room_for(pairs.len()));
    let mut pairs = pairs.iter();
    let began = Instant::now();
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut begun = 0_u64;
    while began.elapsed() < time {
        ticks.tick().await;
        let due = (began.elapsed().min(time).as_secs_f64() * rate) as u64;
        for pair in pairs.by_ref().take((due - begun) as usize) {
            seen.begun.fetch_add(1, Ordering::Relaxed);
            let (store, seen, pair) = (store.clone(), seen.clone(), pair.clone());
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
        seen.most_memory.fetch_max(memory(), Ordering::Relaxed);
    }
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

/// RSVPs a second that `callers` get done, each of whom waits for its answer.
async fn best(
    store: &Arc<dyn RsvpStore>,
    pairs: &Arc<Pairs>,
    callers: usize,
    time: Duration,
) -> f64 {
    let (store, pairs) = (store.clone(), pairs.clone());
    let tally = Load(callers).during(time, move || {
        let (store, pair) = (store.clone(), pairs.nth(pairs.number()));
        async move {
            store.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
        }
    });
    tally.await.per_second()
}

async fn measure(title: &str, store: Arc<dyn RsvpStore>, callers: usize, measured: Measured) {
    println!("{title}, {callers} callers");
    let Measured { rounds, time } = measured;
    let pairs = Arc::new(Pairs::of(EVENTS));
    let control: Arc<dyn RsvpStore> = Arc::new(store.clone().with_layer(Turnstile::default()));
    let (mut shares, mut of_controls, idle) = (Vec::new(), Vec::new(), memory());
    let mut best_before = best(&store, &pairs, callers, time).await;
    for round in 1..=rounds {
        let rate = TIMES * best_before;
        let offered = new_pairs(&pairs, (rate * time.as_secs_f64()) as usize);
        let seen = press(&store, &offered, rate, time).await;
        let mut refusals = seen.refusals.into_inner().expect("a list");
        let own = refusals.capacity() * size_of::<Duration>() + size_of_val(&*offered);
        let gained = seen.most_memory.into_inner().saturating_sub(idle + own as u64) / (1 << 20);
        let a_second = |calls: f64| calls / time.as_secs_f64();
        let completed = a_second(seen.completed.into_inner() as f64);
        drop(offered);
        let offered = new_pairs(&pairs, (rate * time.as_secs_f64()) as usize);
        let seen_by_control = press(&control, &offered, rate, time).await;
        let of_control = a_second(seen_by_control.completed.into_inner() as f64);
        drop(offered);
        // A table slows down as it grows, so the best is that of the time between.
        let best_after = best(&store, &pairs, callers, time).await;
        let best = f64::midpoint(best_before, best_after);
        best_before = best_after;
        shares.push(100.0 * completed / best);
        of_controls.push(100.0 * completed / of_control);
        refusals.sort();
        let at = |share: f64| {
            let at = (refusals.len() as f64 * share) as usize;
            refusals.get(at).or(refusals.last()).copied().unwrap_or_default()
        };
        println!(
            "round {round}: best {best:.0} a second; of {:.0} offered {completed:.0} were completed \
             and {:.0} refused, within {:?} (median), {:?} (99 %), {:?} (all); {gained} MiB gained; \
             of the control {of_control:.0}",
            a_second(seen.begun.into_inner() as f64),
            a_second(refusals.len() as f64),
            at(0.5),
            at(0.99),
            at(1.0),
        );
    }
    let [share, of_control] = [shares, of_controls].map(|mut shares| {
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied().unwrap_or_default()
    });
    println!(
        "{title}: {share:.0} % of the best was completed, {of_control:.0} % of the control (medians)\n"
    );
}

#[derive(Clone, Copy)]
struct Measured {
    rounds: usize,
    time: Duration,
}

fn coalesced<S: RsvpStore + 'static>(
    store: S,
    lanes: usize,
    batch: usize,
    pending: usize,
) -> Arc<CoalescedStore<S>> {
    let config =
        CoalesceConfig::default().with_lanes(lanes).with_max_batch(batch).with_max_pending(pending);
    Arc::new(store.with_coalescing(config).expect("a legal configuration"))
}

pub(crate) async fn run() {
    let measured = match Invocation::of("overload") {
        Invocation::Skip => return,
        Invocation::Try => Measured { rounds: 1, time: Duration::from_millis(100) },
        Invocation::Measure => Measured { rounds: 5, time: Duration::from_secs(3) },
    };
    let unhurried = Simulated::taking(Duration::from_millis(5), Duration::from_micros(50));
    let unhurried = coalesced(unhurried, 4, 512, 16_384);
    measure("a backend that takes its time", unhurried, 16_384, measured).await;
    let database = Database::start().await;
    database.start_over(EVENTS).await;
    let postgres = coalesced(database.store.clone(), 4, 2_048, 16_384);
    measure("Postgres", postgres, 16_384, measured).await;
    database.start_over(EVENTS).await;
    let narrow = coalesced(database.store.clone(), 1, 64, 4_096);
    measure("Postgres, one lane of 64", narrow, 4_096, measured).await;
}
