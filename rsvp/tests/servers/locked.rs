//! One event is locked by another session of the server: the others do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsvp::{EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_testkit::servers::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The layers that the README recommends.
const LAYERS: &str = "migrate=true&timeout=1s&retry=2s&coalesce=true&count_cache=5s";

const EVENTS: u64 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// The times of the calls of writers of so many events, one write or count after another. No call
/// may fail.
async fn times(store: &Arc<dyn RsvpStore>, time: Duration) -> Vec<Duration> {
    let end = Instant::now() + time;
    let mut writers = JoinSet::new();
    for event in (0..EVENTS).map(EventId::from) {
        let store = store.clone();
        writers.spawn(async move {
            let mut times = Vec::new();
            for user in (0_u64..).map(UserId::from) {
                let began = Instant::now();
                store.rsvp(&user, &event).await.unwrap();
                store.rsvp_count(&event).await.unwrap();
                store.cancel(&user, &event).await.unwrap();
                times.push(began.elapsed());
                if Instant::now() >= end {
                    break;
                }
                sleep(PAUSE).await;
            }
            times
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

fn p95(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 95 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_another_session_has_locked_does_not_delay_the_others() {
    let server = PostgresServer::start().await;
    let store = rsvp::open(&format!("{}?{LAYERS}", server.url("postgres"))).await.unwrap();
    let locked = EventId::new("locked").unwrap();
    store.rsvp(&UserId::from(0), &locked).await.unwrap();
    let quiet = p95(times(&store, Duration::from_secs(2)).await);

    let lock = server.execute(
        "BEGIN; UPDATE rsvp.counts SET count = count WHERE event_id = 'locked';
         SELECT pg_sleep(8); ROLLBACK",
    );
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for user in (1..=30_u64).map(UserId::from) {
        let (store, locked, over) = (store.clone(), locked.clone(), over.clone());
        writers.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                // It fails as long as the event is locked.
                let _ = store.rsvp(&user, &locked).await;
                sleep(PAUSE).await;
            }
        });
    }
    let others = async {
        sleep(Duration::from_millis(500)).await;
        let times = times(&store, Duration::from_secs(6)).await;
        over.store(true, Ordering::SeqCst);
        times
    };
    let (times, _) = tokio::join!(others, lock);
    let (calls, worst) = (times.len(), times.iter().max().copied().unwrap());
    let beside = p95(times);
    println!("p95 {quiet:?}; beside a locked event {beside:?}, at most {worst:?}, of {calls}");
    assert!(beside <= 2 * quiet + Duration::from_millis(20), "{beside:?}, without it {quiet:?}");
    writers.join_all().await;
    // Once the lock is gone the event is written again.
    store.rsvp(&UserId::from(99), &locked).await.unwrap();
}
