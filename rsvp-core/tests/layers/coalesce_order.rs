//! Writes of one event are never in flight twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_core::{EventId, Result, Write};
use rsvp_memory::MemoryStore;
use tokio::time::sleep;

use crate::hooked::{Hook, Hooked};
use crate::{event, user, write_all};

/// Counts how many batches of each event are in flight, with random delays before and after.
#[derive(Debug)]
struct Crossing {
    store: MemoryStore,
    random: Mutex<StdRng>,
    in_flight: Mutex<BTreeMap<EventId, u32>>,
    most_at_once: Mutex<usize>,
}

impl Crossing {
    async fn delay(&self) {
        let millis = self.random.lock().unwrap().random_range(0..5);
        sleep(Duration::from_millis(millis)).await;
    }
}

impl Hook for Crossing {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write<T: Send>(
        &self,
        writes: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let mut events: Vec<_> = writes.iter().map(|write| write.rsvp.event.clone()).collect();
        events.sort();
        events.dedup();
        for event in &events {
            let mut in_flight = self.in_flight.lock().unwrap();
            *in_flight.entry(event.clone()).or_default() += 1;
            assert_eq!(in_flight[event], 1, "{event:?} is in flight twice");
            let at_once = in_flight.values().filter(|count| **count > 0).count();
            let mut most = self.most_at_once.lock().unwrap();
            *most = at_once.max(*most);
        }
        self.delay().await;
        let answer = call.await;
        self.delay().await;
        for event in &events {
            *self.in_flight.lock().unwrap().get_mut(event).unwrap() -= 1;
        }
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn writes_of_one_event_are_never_in_flight_twice() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let crossing = Arc::new(Hooked(Crossing {
        store: MemoryStore::new(),
        random: Mutex::new(StdRng::seed_from_u64(seed ^ 1)),
        in_flight: Mutex::default(),
        most_at_once: Mutex::default(),
    }));
    let config = CoalesceConfig::default().with_max_batch(5);
    let store = Arc::new(crossing.clone().with_coalescing(config).unwrap());
    let calls: Vec<_> = (0..600)
        .map(|_| {
            let writes: Vec<_> = (0..random.random_range(1..6))
                .map(|_| {
                    let of = |n| random.clone().random_range(0..n);
                    let (user, event) = (user(of(50_u64)), event(random.random_range(0..20_u64)));
                    if random.random() {
                        Write::rsvp(user, event)
                    } else {
                        Write::cancel(user, event)
                    }
                })
                .collect();
            let (store, later) =
                (store.clone(), Duration::from_millis(random.random_range(0..300)));
            tokio::spawn(async move {
                sleep(later).await;
                let outcomes = write_all(&store, &writes).await;
                outcomes.map(|outcomes| outcomes.len() - writes.len())
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 0);
    }
    assert_eq!(store.pending(), 0);
    assert!(*crossing.most_at_once.lock().unwrap() > 1, "lanes do run at the same time");
}
