//! A disk that is full, fails to sync, or takes no writes.

use std::error::Error as _;
use std::fs;

use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt};
use rsvp_core::{EventId, UserId, Write, WriteOptions};
use rsvp_sqlite::{SqliteConfig, SqliteStore};

use crate::child::{self, command};
use crate::disk::{Disk, set_fault};

fn user(n: u32) -> UserId {
    UserId::from(n)
}

fn fair() -> EventId {
    EventId::new("fair").unwrap()
}

async fn rsvp(store: &SqliteStore, n: u32) -> rsvp_core::Result<()> {
    let write = [Write::rsvp(user(n), fair())];
    let receipt = store.write_batch(&write, &WriteOptions::default()).await?;
    receipt.outcomes().map(|_| ())
}

async fn assert_count(store: &SqliteStore, count: u64) {
    assert_eq!(store.rsvp_count(&fair()).await.unwrap().value, count);
    assert_eq!(store.maintenance().unwrap().audit().await.unwrap().findings, []);
}

/// Runs a test of this file in a process with a disk that can fail, then lets the power fail and checks
/// that so many RSVPs are there.
async fn on_a_faulty_disk(test: &str, left: u64) {
    let disk = Disk::new();
    let mut command = command(&format!("faulty_disk::{test}"), &disk.file());
    assert!(disk.under(&mut command, 1).status().unwrap().success(), "{test}");
    disk.restart();
    let store = SqliteStore::open(SqliteConfig::new(disk.file())).await.unwrap();
    assert_count(&store, left).await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_reads_and_takes_writes_again() {
    on_a_faulty_disk("full", 3).await;
}

#[tokio::test]
#[ignore = "a part of another test"]
async fn full() {
    let Some(config) = child::config() else { return };
    let store = SqliteStore::open(config).await.unwrap();
    rsvp(&store, 1).await.unwrap();
    set_fault("full", true);
    store.ready().await.unwrap_err();
    for _ in 0..3 {
        let error = rsvp(&store, 2).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!((error.effect(), error.is_retryable()), (Effect::NotApplied, true));
        assert!(error.source().unwrap().to_string().contains("full"), "{:?}", error.source());
        store.ready().await.unwrap_err();
        assert_count(&store, 1).await;
    }
    set_fault("full", false);
    store.ready().await.unwrap();
    rsvp(&store, 2).await.unwrap();
    rsvp(&store, 3).await.unwrap();
    assert_count(&store, 3).await;
}

#[tokio::test]
async fn a_sync_that_fails_once_costs_no_caller_an_error() {
    on_a_faulty_disk("fails_once", 20).await;
}

/// What was to be synced is gone, and the system takes it for written.
#[tokio::test]
#[ignore = "a part of another test"]
async fn fails_once() {
    let Some(config) = child::config() else { return };
    let store = SqliteStore::open(config).await.unwrap();
    for n in 0..20 {
        set_fault("fsync-once", n % 3 == 1);
        rsvp(&store, n).await.unwrap();
    }
    assert_count(&store, 20).await;
}

#[tokio::test]
async fn a_disk_that_does_not_sync_acknowledges_nothing_until_it_does() {
    on_a_faulty_disk("never_syncs", 3).await;
}

#[tokio::test]
#[ignore = "a part of another test"]
async fn never_syncs() {
    let Some(config) = child::config() else { return };
    let store = SqliteStore::open(config).await.unwrap();
    rsvp(&store, 1).await.unwrap();
    set_fault("fsync", true);
    for _ in 0..3 {
        let error = rsvp(&store, 2).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!((error.effect(), error.is_retryable()), (Effect::Unknown, true));
        store.ready().await.unwrap_err();
        assert_count(&store, 1).await;
    }
    set_fault("fsync", false);
    store.ready().await.unwrap();
    // The write that failed has never happened, and is repeated.
    rsvp(&store, 3).await.unwrap();
    assert!(!store.has_rsvped(&user(2), &fair()).await.unwrap());
    rsvp(&store, 2).await.unwrap();
    assert_count(&store, 3).await;
}

#[tokio::test]
async fn a_file_that_takes_no_writes_is_refused() {
    let disk = Disk::new();
    let store = SqliteStore::open(SqliteConfig::new(disk.file())).await.unwrap();
    rsvp(&store, 1).await.unwrap();
    store.close().await.unwrap();
    let mut command = command("faulty_disk::read_only", &disk.file());
    assert!(disk.under(&mut command, 1).status().unwrap().success());
    assert!(fs::metadata(disk.file()).unwrap().len() > 0);
}

#[tokio::test]
#[ignore = "a part of another test"]
async fn read_only() {
    let Some(config) = child::config() else { return };
    set_fault("read-only", true);
    let error = SqliteStore::open(config.clone()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "path", .. }), "{error:?}");
    set_fault("read-only", false);
    assert_count(&SqliteStore::open(config).await.unwrap(), 1).await;
}
