//! `kill -9` of a process with 16 writers.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::RsvpStore;
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use tokio::time::{Instant, sleep};

use crate::child::{self, Running, command};
use crate::ledger::{Ledger, moment, rounds, write_for_ever};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of another test"]
async fn writers() {
    let Some(config) = child::config() else { return };
    let seed = rounds("SEED", 0);
    let store = SqliteStore::open(config).await.unwrap();
    write_for_ever(Arc::new(store), seed).await;
}

/// `RSVP_KILLS` sets the number of kills.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsvp.db");
    let seed = rsvp_testkit::seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut ledger, mut slowest) = (Ledger::default(), Duration::ZERO);
    let kills = rounds("RSVP_KILLS", 15);
    for round in 0..kills {
        let mut writers =
            Running::spawn(command("crash::writers", &path).env("SEED", round.to_string()));
        // 1. Kill it at a random moment after its first writes.
        let stdout = BufReader::new(writers.0.stdout.take().unwrap());
        let (began, begun) = tokio::sync::oneshot::channel();
        let reading = thread::spawn(move || {
            let mut began = Some(began);
            let mut lines = Vec::new();
            for line in stdout.lines().map_while(Result::ok) {
                if line.starts_with('!')
                    && let Some(began) = began.take()
                {
                    let _ = began.send(());
                }
                lines.push(line);
            }
            lines
        });
        begun.await.unwrap();
        sleep(moment(&mut random)).await;
        writers.kill();
        reading.join().unwrap().iter().for_each(|line| ledger.read(line));
        // 2. What was acknowledged is there.
        let begin = Instant::now();
        let store = SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
        slowest = slowest.max(begin.elapsed());
        assert_eq!(ledger.lost(&store).await, [""; 0], "round {round}");
        if round % 5 == 0 {
            ledger.assert_consistent(&store).await;
        }
        store.close().await.unwrap();
    }
    println!(
        "{} writes acknowledged over {kills} kills, none lost; opened in at most {slowest:?}",
        ledger.acknowledged
    );
}
