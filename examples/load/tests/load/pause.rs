//! The negative control: a store that is paused for 200 ms.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rsvp::{EventId, Outcome, Rsvp, UserId, Write};
use rsvp_load::{Answer, Load, Measured, Operation, Plan, Scenario, StoreTarget, Target};
use tokio::sync::RwLock;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(200);

/// A store that answers nothing while the gate is held.
#[derive(Debug)]
struct Pausable {
    store: StoreTarget,
    gate: Arc<RwLock<()>>,
}

#[async_trait]
impl Target for Pausable {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let _open = self.gate.read().await;
        self.store.write(write).await
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        let _open = self.gate.read().await;
        self.store.has_rsvped(pair).await
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        let _open = self.gate.read().await;
        self.store.rsvp_count(event).await
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        self.store.attendees(event).await
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        self.store.events_of(user).await
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        self.store.fill(pairs).await
    }

    async fn clear(&self, events: &[EventId], users: &[UserId]) -> Answer<()> {
        self.store.clear(events, users).await
    }
}

/// Runs a plan on a store that is paused in its middle.
async fn paused(plan: Plan) -> Measured {
    let gate = Arc::new(RwLock::new(()));
    let store = StoreTarget::new(rsvp::open("memory:").await.unwrap());
    let load = Load::new(Arc::new(Pausable { store, gate: gate.clone() }), plan.clone());
    let ticks = Arc::new(tokio::sync::Semaphore::new(0));
    let begun = ticks.clone();
    let load = load.with_ticks(move |_| begun.add_permits(1));
    let pause = async {
        // The run has begun.
        ticks.acquire().await.unwrap().forget();
        let _closed = gate.write().await;
        sleep(PAUSE).await;
    };
    let (measured, ()) = tokio::join!(load.run(), pause);
    measured.unwrap()
}

fn p999(measured: &Measured) -> Duration {
    measured.operations[&Operation::HasRsvped].latencies.quantile(0.999).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_200_ms_at_1000_calls_a_second_is_the_latency_of_one_call_in_a_thousand() {
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(4)).with_rate(Some(1_000.0));
    let measured = paused(plan).await;
    let all = measured.completed();
    assert!((3_990..=4_000).contains(&all), "every call that was due was made: {all}");
    let p999 = p999(&measured);
    assert!((190..400).contains(&p999.as_millis()), "{p999:?}");
    assert!(!measured.saturated, "1,024 callers are enough for 200 calls that wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pause_shows_likewise_when_the_callers_are_too_few_for_it() {
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(4)).with_rate(Some(1_000.0));
    let p999 = p999(&paused(plan.with_callers(4)).await);
    assert!((190..400).contains(&p999.as_millis()), "{p999:?}");
}

/// Why the open loop is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_loop_hides_the_pause() {
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(2)).with_callers(1);
    let p999 = p999(&paused(plan).await);
    assert!(p999 < Duration::from_millis(100), "{p999:?}");
}

/// The same on a real server, which a signal stops.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_redis_server_shows_likewise() {
    let server = rsvp_testkit::servers::RedisServer::start().await;
    let store = rsvp::open(&server.url()).await.unwrap();
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(4)).with_rate(Some(1_000.0));
    let (begin, begun) = tokio::sync::mpsc::unbounded_channel();
    let load = Load::new(Arc::new(StoreTarget::new(store)), plan);
    let load = load.with_ticks(move |_| begin.send(()).unwrap_or_default());
    let pause = async {
        let mut begun = begun;
        begun.recv().await;
        server.pause().await;
        sleep(PAUSE).await;
        server.resume().await;
    };
    let (measured, ()) = tokio::join!(load.run(), pause);
    let measured = measured.unwrap();
    assert_eq!((measured.failed(), measured.read_your_writes_misses), (0, 0), "{measured:?}");
    let p999 = p999(&measured);
    assert!((190..600).contains(&p999.as_millis()), "{p999:?}");
}
