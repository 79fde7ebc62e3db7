//! A write that was given up does not land after a later one that was acknowledged.

use std::time::Duration;

use crate::support::{LIMIT, counts, event, held, open, random, user, write};
use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::{Action, Deadline, EventId, Maintenance, Rsvp, RsvpStore, Write, WriteOptions};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisCluster, RedisServer};
use tokio::time::{Instant, sleep};

const ROUNDS: usize = 60;
const PARAMETERS: &str = "connections=3&response_timeout=500ms&connect_timeout=300ms";
const DEADLINE: Duration = Duration::from_millis(300);
/// How much later than its deadline a call may return on a busy machine.
const SLACK: Duration = Duration::from_millis(700);
/// Many times what a server reads from one connection at once, and not more than the kernel keeps
/// for it. The server takes turns between connections, so that without a fence it would execute
/// later writes on another one before the last of these.
const USERS: usize = 2_000;
/// The cancels of one batch.
const CANCELS: usize = 100;

fn batch(event: &EventId, action: Action) -> Vec<Write> {
    let user = |n: usize| user(format!("user-{n}"));
    (0..USERS).map(|n| Write::new(action, Rsvp::new(user(n), event.clone()))).collect()
}

/// RSVPs with a deadline, while the server is silent. Returns whether any was given up.
async fn rsvp(store: &RedisStore, event: &EventId) -> bool {
    let (writes, began) = (batch(event, Action::Rsvp), Instant::now());
    let options = WriteOptions::default().with_timeout(DEADLINE);
    let results = match store.write_batch(&writes, &options).await {
        Ok(receipt) => receipt.results,
        Err(error) => panic!("{error:?}"),
    };
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    let mut errors = results.iter().filter_map(|result| result.as_ref().err());
    assert!(errors.clone().all(|error| error.is_retryable()), "{:?}", errors.next());
    errors.next().is_some()
}

/// Cancels everything, what was sent last first.
async fn cancel(store: &RedisStore, event: &EventId) {
    for chunk in batch(event, Action::Cancel).rchunks(CANCELS) {
        cancel_until_acknowledged(store, chunk.to_vec()).await;
    }
}

async fn cancel_until_acknowledged(store: &RedisStore, cancels: Vec<Write>) {
    let (mut left, began) = (cancels, Instant::now());
    while !left.is_empty() {
        let receipt = store.write_batch(&left, &WriteOptions::default()).await.unwrap();
        let failed = left.into_iter().zip(receipt.results).filter_map(|(write, result)| {
            let error = result.err()?;
            assert!(error.is_retryable() && began.elapsed() < LIMIT, "{error:?}");
            // A cancel is not repeated before it is settled either.
            Some((write, error.retry_at().map_or(Duration::ZERO, Deadline::remaining)))
        });
        let failed: Vec<_> = failed.collect();
        sleep(failed.iter().map(|(_, pause)| *pause).max().unwrap_or_default()).await;
        left = failed.into_iter().map(|(write, _)| write).collect();
    }
}

/// Nothing of an event is left.
async fn assert_gone(store: &RedisStore, event: &EventId) {
    let pairs: Vec<Rsvp> =
        batch(event, Action::Cancel).into_iter().map(|write| write.rsvp).collect();
    let held = held(store, &pairs).await.unwrap();
    assert!(!held.contains(&true), "{event:?}: an RSVP came after its cancel");
    assert_eq!(counts(store, std::slice::from_ref(event)).await.unwrap(), [0]);
}

/// Rounds of silence. `store` is warm when each begins.
async fn rounds(
    store: &RedisStore,
    random: &mut StdRng,
    silence: impl AsyncFn(usize),
    goes_on: impl AsyncFn(usize),
) {
    let mut given_up = 0;
    for round in 0..ROUNDS {
        let event = event(round);
        // Every connection is there, and knows the server.
        for _ in 0..3 {
            write(store, &[Write::cancel(user("nobody"), event.clone())]).await.unwrap();
        }
        let pause = Duration::from_millis(random.random_range(0..200));
        silence(round).await;
        given_up += usize::from(rsvp(store, &event).await);
        tokio::join!(cancel(store, &event), async {
            sleep(pause).await;
            goes_on(round).await;
        });
        // A late command of a server that runs would have come by then.
        sleep(Duration::from_millis(50)).await;
        assert_gone(store, &event).await;
    }
    println!("{given_up} of {ROUNDS} batches were given up");
    assert!(given_up > ROUNDS / 2);
    for round in 0..ROUNDS {
        assert_gone(store, &event(round)).await;
    }
    assert_eq!(store.audit().await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rsvp_lands_after_its_cancel_when_a_stopped_server_goes_on() {
    let mut random = random();
    let server = RedisServer::start().await;
    let store = open(&format!("{}?{PARAMETERS}", server.url())).await;
    rounds(&store, &mut random, async |_| server.pause().await, async |_| server.resume().await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rsvp_lands_after_its_cancel_when_a_stalled_network_goes_on() {
    let mut random = random();
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(&format!("redis://127.0.0.1:{}?{PARAMETERS}", proxy.port())).await;
    rounds(&store, &mut random, async |_| proxy.stall().await, async |_| proxy.resume().await)
        .await;
}

/// Shorter than the cluster gives a node up after. The node has the event, or some of the users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rsvp_lands_after_its_cancel_when_a_stopped_node_goes_on() {
    let mut random = random();
    let cluster = RedisServer::builder().setting("cluster-node-timeout", "30000");
    let cluster: RedisCluster = cluster.start_cluster().await;
    let store = open(&format!("{}?{PARAMETERS}", cluster.url())).await;
    let nodes = cluster.primaries().await;
    let node = |round: usize| nodes[round % nodes.len()];
    rounds(
        &store,
        &mut random,
        async |round| node(round).pause().await,
        async |round| node(round).resume().await,
    )
    .await;
}
