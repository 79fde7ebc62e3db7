//! Calls about slots that nothing happens to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsvp_core::{EventId, Outcome, PageRequest, RsvpStore, RsvpStoreExt, UserId};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{RedisCluster, RedisServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{event, event_key, user, user_key};

/// Reads and writes without end; the first call that fails is a panic, which surfaces in
/// [`stop`](Self::stop).
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(u64, Duration)>,
}

impl Prober {
    /// One that keeps to events and users whose keys `avoided` does not own.
    pub(crate) async fn start(
        store: &RedisStore,
        cluster: &RedisCluster,
        avoided: &RedisServer,
    ) -> Self {
        let (mut events, mut users) = (Vec::new(), Vec::new());
        for number in 0.. {
            let (event, user) = (event(format!("p{number}")), user(format!("p{number}")));
            if cluster.primary_of(&event_key(&event)).await.port() != avoided.port() {
                events.push(event);
            }
            if cluster.primary_of(&user_key(&user)).await.port() != avoided.port() {
                users.push(user);
            }
            if events.len() >= 4 && users.len() >= 4 {
                break;
            }
        }
        let (stop, store) = (Arc::new(AtomicBool::new(false)), store.clone());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut rounds, mut longest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::SeqCst) {
                for event in &events {
                    for user in &users {
                        longest = longest.max(probe(&store, event, user).await);
                    }
                }
                rounds += 1;
            }
            (rounds, longest)
        });
        Self { stop, task }
    }

    /// How long the slowest call took.
    pub(crate) async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        let (rounds, longest) = self.task.await.unwrap();
        println!("{rounds} rounds of calls to other slots, the slowest call took {longest:?}");
        assert!(rounds > 0, "nothing was probed");
        longest
    }
}

/// Calls of every kind; how long the slowest took.
async fn probe(store: &RedisStore, event: &EventId, user: &UserId) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    let mut lap = || {
        longest = longest.max(last.elapsed());
        last = Instant::now();
    };
    let receipt = store.rsvp(user, event).await.unwrap();
    assert_eq!(receipt.outcome, Outcome::Applied);
    lap();
    assert!(store.has_rsvped(user, event).await.unwrap());
    lap();
    assert_eq!(store.rsvp_count(event).await.unwrap().value, 1);
    lap();
    let page = store.attendees_page(event, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(user));
    lap();
    let page = store.events_of_page(user, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(event));
    lap();
    let receipt = store.cancel(user, event).await.unwrap();
    assert_eq!(receipt.outcome, Outcome::Applied);
    lap();
    longest
}
