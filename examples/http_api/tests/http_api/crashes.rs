//! The service with a file is killed and started again, and keeps what it has acknowledged.
#![allow(clippy::print_stdout, reason = "figures of the run")]

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_load::check::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::service::{Service, command, get};

const WRITERS: u32 = 16;
const EVENTS: u32 = 3;
const USERS_OF_A_WRITER: u32 = 8;

/// Whether a user is in, by event and user; nothing after a write without an answer.
type Known = BTreeMap<(u32, String), Option<bool>>;

/// Writes until the service is gone.
async fn write(
    mut client: Client,
    writer: u32,
    seed: u64,
    acknowledged: watch::Sender<u64>,
) -> Known {
    let mut random = StdRng::seed_from_u64(seed);
    let mut known = Known::new();
    loop {
        let user = format!("{writer}-{}", random.random_range(0..USERS_OF_A_WRITER));
        let (event, comes) = (random.random_range(0..EVENTS), random.random_bool(0.5));
        let method = if comes { hyper::Method::POST } else { hyper::Method::DELETE };
        let path = format!("/events/{event}/rsvp");
        known.insert((event, user.clone()), None);
        let Ok(answer) = client.send(method, &path, &[("X-User-Id", user.as_bytes())]).await else {
            return known;
        };
        assert!(answer.status.is_success(), "{answer:?}");
        known.insert((event, user), Some(comes));
        acknowledged.send_modify(|count| *count += 1);
    }
}

/// Checks that everything known is so, and that counts are those of the users who are in.
async fn check(client: &mut Client, known: &Known) {
    let mut counted = BTreeMap::new();
    for ((event, user), state) in known {
        let answer = get(client, &format!("/events/{event}/users/{user}")).await;
        let held = answer.json["rsvped"].as_bool().unwrap();
        assert!(state.is_none_or(|state| state == held), "{user} at {event}: {state:?}, {held}");
        *counted.entry(*event).or_insert(0) += u64::from(held);
    }
    for (event, held) in counted {
        let answer = get(client, &format!("/events/{event}/rsvp_count")).await;
        assert_eq!(answer.json["count"], held, "event {event}");
    }
}

/// `RSVP_KILLS` sets the number of kills.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_over_http_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}/rsvp.db", folder.path().display());
    let seed = rsvp_testkit::seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let kills = std::env::var("RSVP_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(10);
    let (mut known, acknowledged) = (Known::new(), watch::Sender::new(0));
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        // 1. The service holds what was acknowledged before.
        let begin = Instant::now();
        let mut service =
            Service::start_with(command().args(["--listen", "127.0.0.1:0", "--store", &store]));
        slowest = slowest.max(begin.elapsed());
        check(&mut service.client().await, &known).await;
        // 2. It is killed at a random moment after its first answers.
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (client, acknowledged) = (service.client().await, acknowledged.clone());
            writers.spawn(write(client, writer, random.random(), acknowledged));
        }
        let goal = *acknowledged.borrow() + 16;
        acknowledged.subscribe().wait_for(|count| *count >= goal).await.unwrap();
        sleep(Duration::from_millis(random.random_range(0..80))).await;
        service.signal(Signal::SIGKILL);
        service.end().await;
        while let Some(writer) = writers.join_next().await {
            known.extend(writer.unwrap());
        }
    }
    println!(
        "{} writes acknowledged over {kills} kills, none lost; started in at most {slowest:?}",
        *acknowledged.borrow()
    );
}
