//! The power fails: what was not synced is gone, but for some sectors of it.

use std::io::{BufRead, BufReader};
use std::thread;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::RsvpStore;
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use tokio::time::sleep;

use crate::child::{self, Running, command};
use crate::disk::Disk;
use crate::ledger::{Ledger, moment, rounds, write_for_ever};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of another test"]
async fn writers() {
    let Some(config) = child::config() else { return };
    let durability = match std::env::var("DURABILITY").as_deref() {
        Ok("normal") => rsvp_sqlite::Durability::Normal,
        _ => rsvp_sqlite::Durability::Full,
    };
    let store = SqliteStore::open(config.with_durability(durability)).await.unwrap();
    write_for_ever(std::sync::Arc::new(store), rounds("SEED", 0)).await;
}

/// Cuts the power under writers once. What they knew goes to the ledger.
async fn cut_power(disk: &Disk, ledger: &mut Ledger, random: &mut StdRng, round: u64, mode: &str) {
    let mut command = command("power_loss::writers", &disk.file());
    command.env("SEED", round.to_string()).env("DURABILITY", mode);
    let mut writers = Running::spawn(disk.under(&mut command, round + 1));
    let stdout = BufReader::new(writers.0.stdout.take().unwrap());
    let (began, begun) = tokio::sync::oneshot::channel();
    let reading = thread::spawn(move || {
        let (mut began, mut lines) = (Some(began), Vec::new());
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
    sleep(moment(random)).await;
    writers.kill();
    reading.join().unwrap().iter().for_each(|line| ledger.read(line));
    disk.restart();
}

/// `RSVP_POWER_LOSSES` sets the number of losses.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_the_power_fails() {
    let (disk, mut ledger) = (Disk::new(), Ledger::default());
    let seed = rsvp_testkit::seed();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let losses = rounds("RSVP_POWER_LOSSES", 10);
    for round in 0..losses {
        cut_power(&disk, &mut ledger, &mut random, round, "full").await;
        let store = SqliteStore::open(SqliteConfig::new(disk.file())).await.unwrap();
        assert_eq!(ledger.lost(&store).await, [""; 0], "round {round}");
        ledger.assert_consistent(&store).await;
        store.close().await.unwrap();
        disk.settle();
    }
    println!(
        "{} writes acknowledged over {losses} losses of power, none lost",
        ledger.acknowledged
    );
}

/// The other durability loses the last writes, as it says, and nothing else: this also shows that the
/// test above would notice.
#[tokio::test(flavor = "multi_thread")]
async fn normal_durability_loses_the_last_writes_and_keeps_the_file_intact() {
    let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
    let mut lost = 0;
    for round in 0..3 {
        let (disk, mut ledger) = (Disk::new(), Ledger::default());
        cut_power(&disk, &mut ledger, &mut random, round, "normal").await;
        let store = SqliteStore::open(SqliteConfig::new(disk.file())).await.unwrap();
        lost += ledger.lost(&store).await.len();
        ledger.assert_consistent(&store).await;
        store.close().await.unwrap();
    }
    assert!(lost > 0, "the disk of the tests keeps what was not synced");
}
