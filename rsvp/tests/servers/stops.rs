//! Servers that stand still, networks that stall and locks that others hold, under writers who do not
//! wait: no write lands after a later one of its pair was acknowledged.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp::{EventId, RsvpStore, RsvpStoreExt, UserId};
use tokio::time::{sleep, timeout};

/// The layers that the README recommends, with short limits.
const LAYERS: &str = "timeout=400ms&retry=1s&coalesce=true&count_cache=5s";

/// Enough to have writes on their way at any moment.
const WRITERS: u64 = 24;
const EVENTS: usize = 3;

/// The faults of one run. `RSVP_STOPS=200` makes it as long as a run by hand should be.
fn stops() -> usize {
    std::env::var("RSVP_STOPS").map_or(24, |stops| stops.parse().expect("a number"))
}

/// What the writers have seen.
#[derive(Debug, Default)]
struct Seen {
    over: AtomicBool,
    acknowledged: AtomicUsize,
    failed: AtomicUsize,
    pending: AtomicUsize,
    looks: AtomicUsize,
}

/// Reads until there is an answer.
async fn look(store: &dyn RsvpStore, user: &UserId, event: &EventId) -> bool {
    let answer = async {
        loop {
            if let Ok(held) = store.has_rsvped(user, event).await {
                return held;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), answer).await.expect("the store recovers")
}

/// Writes until a write is acknowledged, and may change its mind after each that is not. Returns
/// whether the RSVP is to be there.
async fn write_one(
    (store, seen): (&dyn RsvpStore, &Seen),
    (user, event): (&UserId, &EventId),
    held: bool,
    random: &mut StdRng,
) -> bool {
    // Mostly a change, since a late write shows only after one.
    let mut wanted = held == random.random_bool(0.2);
    loop {
        let written = match wanted {
            true => store.rsvp(user, event).await,
            false => store.cancel(user, event).await,
        };
        let Err(error) = written else {
            seen.acknowledged.fetch_add(1, Ordering::SeqCst);
            return wanted;
        };
        assert!(error.is_retryable(), "{error:?}");
        seen.failed.fetch_add(1, Ordering::SeqCst);
        let pending = usize::from(!error.effect().is_settled());
        seen.pending.fetch_add(pending, Ordering::SeqCst);
        sleep(Duration::from_millis(5)).await;
        wanted = random.random_bool(0.5);
    }
}

/// Writes to pairs of its own. Once a write is acknowledged, it holds until the next of its pair.
async fn write(store: Arc<dyn RsvpStore>, seen: Arc<Seen>, user: UserId, mut random: StdRng) {
    let mut held = [false; EVENTS];
    while !seen.over.load(Ordering::SeqCst) {
        let place = random.random_range(0..EVENTS);
        let event = EventId::from(place as u64);
        assert_holds(&*store, &seen, (&user, &event), held[place]).await;
        held[place] = write_one((&*store, &seen), (&user, &event), held[place], &mut random).await;
        assert_holds(&*store, &seen, (&user, &event), held[place]).await;
        sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
    // What still may come has had the time to.
    sleep(Duration::from_secs(2)).await;
    for (event, held) in (0..).map(EventId::from).zip(held) {
        assert_holds(&*store, &seen, (&user, &event), held).await;
    }
}

async fn assert_holds(
    store: &dyn RsvpStore,
    seen: &Seen,
    (user, event): (&UserId, &EventId),
    expected: bool,
) {
    let held = look(store, user, event).await;
    assert_eq!(held, expected, "{user} and {event}: an earlier write came late");
    seen.looks.fetch_add(1, Ordering::SeqCst);
}

/// Runs writers until `faults` is over.
async fn under_writers(store: Arc<dyn RsvpStore>, faults: impl Future<Output = ()>) {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let seen = Arc::new(Seen::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(n));
            tokio::spawn(write(store.clone(), seen.clone(), UserId::from(n), random))
        })
        .collect();
    faults.await;
    seen.over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("no write came late");
    }
    println!("{} faults: {seen:?}", stops());
    assert!(seen.failed.load(Ordering::SeqCst) > 0, "the faults were felt");
}

/// How long a fault lasts: shorter than an attempt, longer than a call, and between.
fn duration(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(100..1500))
}

#[cfg(feature = "postgres")]
mod postgres {
    use rsvp_testkit::servers::{PostgresServer, Proxy};

    use super::*;

    fn signal(signal: &str, pids: &[String]) {
        for pid in pids {
            // A process that has ended is no error.
            let _ = Command::new("kill").args([signal, pid]).output().expect("kill runs");
        }
    }

    /// The processes behind the store's connections.
    async fn backends(server: &PostgresServer) -> Vec<String> {
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stops'";
        server.execute(sql).await.lines().map(str::to_owned).collect()
    }

    /// Whether a statement of the store waits for a lock within this time.
    async fn waits_for_lock(server: &PostgresServer, time: Duration) -> bool {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE application_name = 'stops' AND wait_event_type = 'Lock'";
        let looking = async {
            while server.execute(waiting).await.trim() == "0" {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(time, looking).await.is_ok()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_write_lands_after_a_later_acknowledged_one() {
        let server = PostgresServer::start().await;
        let proxy = Proxy::start(server.port()).await;
        let url = format!(
            "postgres://postgres@127.0.0.1:{}/postgres?migrate=true&application_name=stops\
             &pool_size=4&{LAYERS}",
            proxy.port()
        );
        let store = rsvp::open(&url).await.unwrap();
        let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
        let faults = async {
            for stop in 0..stops() {
                let time = duration(&mut random);
                match stop % 6 {
                    // A process stands still, or all do.
                    0 | 1 => {
                        let mut pids = backends(&server).await;
                        if stop % 6 == 0 {
                            pids.truncate(1);
                        }
                        signal("-STOP", &pids);
                        sleep(time).await;
                        signal("-CONT", &pids);
                    }
                    // The network stands still, and then goes on or is cut.
                    2 => {
                        proxy.stall().await;
                        sleep(time).await;
                        if random.random_bool(0.5) {
                            proxy.cut().await;
                        }
                        proxy.resume().await;
                    }
                    // Statements that were given up arrive when later ones were acknowledged.
                    3 => {
                        proxy.stall_existing();
                        sleep(time + Duration::from_millis(500)).await;
                        proxy.resume().await;
                    }
                    // Another session holds the pairs of all writers, and connections are lost while
                    // statements wait for it. The server goes on with these when it lets go, which is
                    // after the writers have given up.
                    4 => {
                        let time = time + Duration::from_millis(1500);
                        let lock = format!(
                            "BEGIN; INSERT INTO rsvp.rsvps (event_id, user_id)
                             SELECT event, writer FROM generate_series(0, {EVENTS} - 1) event,
                                 generate_series(0, {WRITERS} - 1) writer
                             ON CONFLICT DO NOTHING;
                             SELECT pg_sleep({}); ROLLBACK",
                            time.as_secs_f64()
                        );
                        let cut = async {
                            if waits_for_lock(&server, time).await {
                                proxy.cut().await;
                            }
                        };
                        tokio::join!(server.execute(&lock), cut);
                    }
                    // Another session holds the count of an event.
                    _ => {
                        let lock = format!(
                            "BEGIN; UPDATE rsvp.counts SET count = count WHERE event_id = '1';
                             SELECT pg_sleep({}); ROLLBACK",
                            time.as_secs_f64()
                        );
                        server.execute(&lock).await;
                    }
                }
                sleep(Duration::from_millis(random.random_range(0..200))).await;
            }
        };
        under_writers(store.clone(), faults).await;
        let audit = store.maintenance().unwrap().audit().await.unwrap();
        assert_eq!(audit.findings, [], "counts are exact");
    }
}

#[cfg(feature = "redis")]
mod redis {
    use rsvp_testkit::servers::{Proxy, RedisServer};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_write_lands_after_a_later_acknowledged_one() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port()).await;
        let url = format!("redis://127.0.0.1:{}?response_timeout=300ms&{LAYERS}", proxy.port());
        let store = rsvp::open(&url).await.unwrap();
        let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
        let faults = async {
            for stop in 0..stops() {
                let time = duration(&mut random);
                match stop % 3 {
                    0 => {
                        server.pause().await;
                        sleep(time).await;
                        server.resume().await;
                    }
                    // Commands that were given up arrive when later ones were acknowledged.
                    1 => {
                        proxy.stall_existing();
                        sleep(time + Duration::from_millis(500)).await;
                        proxy.resume().await;
                    }
                    _ => {
                        proxy.stall().await;
                        sleep(time).await;
                        if random.random_bool(0.5) {
                            proxy.cut().await;
                        }
                        proxy.resume().await;
                    }
                }
                sleep(Duration::from_millis(random.random_range(0..200))).await;
            }
        };
        under_writers(store.clone(), faults).await;
        let audit = store.maintenance().unwrap().audit().await.unwrap();
        assert_eq!(audit.findings, [], "both directions agree");
    }
}
