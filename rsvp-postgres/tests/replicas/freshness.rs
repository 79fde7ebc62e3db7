//! Reads from replicas are as fresh as asked.

use std::time::Duration;

use rsvp_core::{Consistency, EventId, RsvpStoreExt, UserId};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::Subject;
use rsvp_testkit::servers::ReplicatedPostgres;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{open, primary_only};

const EVENTUAL: Consistency = Consistency::Eventual;

/// A store that writes to the primary and may read from the standby.
async fn store(pair: &ReplicatedPostgres) -> PostgresStore {
    open(pair, primary_only(pair, 2)).await
}

/// The number of index entries that the standby has looked up in the tables, by its statistics.
async fn lookups(pair: &ReplicatedPostgres) -> u64 {
    let lookups =
        "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_tables WHERE schemaname = 'rsvp'";
    pair.standby().execute(lookups).await.trim().parse().unwrap()
}

async fn count(store: &PostgresStore, event: &EventId, consistency: &Consistency) -> u64 {
    store.rsvp_count_with(event, consistency.clone()).await.unwrap().value
}

/// A store on a pair of servers and a schema of its own.
async fn fresh() -> Subject {
    let pair = ReplicatedPostgres::start().await;
    let (store, peer) = (store(&pair).await, store(&pair).await);
    Subject::from(store).with_peer(peer).holding(pair)
}

#[test]
fn the_cases_that_read_keep_the_contract_through_a_replica() {
    for case in [
        "a_strong_read_sees_every_acknowledged_write",
        "a_session_read_sees_the_writes_behind_its_token",
        "a_printed_token_still_shows_its_writes",
        "merged_tokens_show_the_writes_of_both",
        "the_token_of_an_unchanged_write_shows_its_state",
        "a_bounded_read_sees_writes_older_than_its_bound",
        "a_bound_of_nothing_is_strong",
        "a_count_was_true_no_longer_ago_than_its_age",
        "an_eventual_read_answers_what_was_committed_once",
        "a_session_sees_its_removal",
        "random_operations_match_the_model",
    ] {
        let regressions =
            concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/conformance.txt");
        rsvp_testkit::run(case, fresh, regressions, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_its_own_writes_through_a_paused_replica() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    let before = store.rsvp(&UserId::new("early").unwrap(), &EventId::from(0)).await.unwrap();
    pair.wait_caught_up().await;
    pair.pause_replay().await;

    let mut sessions = JoinSet::new();
    for session in 0..20_u32 {
        let store = store.clone();
        sessions.spawn(async move {
            let mut misses = 0;
            for n in 0..500_u32 {
                let (user, event) =
                    (UserId::from(session * 1000 + n / 2), EventId::from(n % 7 / 2));
                let (coming, receipt) = match n % 2 {
                    0 => (true, store.rsvp(&user, &event).await.unwrap()),
                    _ => (false, store.cancel(&user, &event).await.unwrap()),
                };
                let at = Consistency::Session(receipt.token.to_string().parse().unwrap());
                let seen = store.has_rsvped_with(&user, &event, at).await.unwrap();
                misses += u32::from(seen != coming);
            }
            misses
        });
    }
    let misses: u32 = sessions.join_all().await.into_iter().sum();
    assert_eq!(misses, 0, "of 10,000 writes");

    // The replica does answer reads that it has replayed enough for, and eventual reads.
    let looked_up = lookups(&pair).await;
    let at = Consistency::Session(before.token);
    assert!(
        store.has_rsvped_with(&UserId::new("early").unwrap(), &EventId::from(0), at).await.unwrap()
    );
    assert_eq!(count(&store, &EventId::from(3), &EVENTUAL).await, 0, "as old as the replica is");
    wait_for_lookups(&pair, looked_up).await;
    pair.resume_replay().await;
}

/// The standby reports its statistics once a second for each session.
async fn wait_for_lookups(pair: &ReplicatedPostgres, before: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while lookups(pair).await <= before {
        assert!(Instant::now() < deadline, "the replica was not asked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn strong_reads_stay_on_the_primary() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    pair.pause_replay().await;
    let (user, event) = (UserId::from(1), EventId::from(2));
    store.rsvp(&user, &event).await.unwrap();
    assert!(store.has_rsvped(&user, &event).await.unwrap());
    assert_eq!(count(&store, &event, &Consistency::Strong).await, 1);
    assert!(!store.has_rsvped_with(&user, &event, EVENTUAL).await.unwrap(), "the replica is asked");
    pair.resume_replay().await;
}

#[tokio::test]
async fn a_bounded_read_leaves_a_replica_that_lags_too_far() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    let event = EventId::from(1);
    // Longer than the stop of the replica takes on a busy disk, so that it is fresh enough then.
    let bound = Duration::from_secs(4);
    let bounded = Consistency::Bounded(bound);
    let mut acknowledged = vec![Instant::now()];
    // The replica will have replayed the primary's position at the last such read when it stops.
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.rsvp_count_with(&event, bounded.clone()).await.unwrap().age.is_zero() {
        assert!(Instant::now() < deadline, "the replica answers while it follows");
        pair.wait_caught_up().await;
    }
    pair.pause_replay().await;
    let (mut oldest, mut from_replica) = (Duration::ZERO, 0_u32);
    let begin = Instant::now();
    while begin.elapsed() < 2 * bound {
        store.rsvp(&UserId::from(acknowledged.len() as u64), &event).await.unwrap();
        acknowledged.push(Instant::now());
        let asked = Instant::now();
        let count = store.rsvp_count_with(&event, bounded.clone()).await.unwrap();
        assert!(count.age <= bound, "{:?}", count.age);
        from_replica += u32::from(!count.age.is_zero());
        // The count was true until the next RSVP was acknowledged.
        if let Some(replaced) = acknowledged.get(count.value as usize + 1) {
            let age = asked.saturating_duration_since(*replaced);
            assert!(age <= count.age, "{age:?} old and said to be {:?}", count.age);
            oldest = oldest.max(age);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(oldest <= bound, "{oldest:?}");
    assert!(from_replica > 0, "the replica answers while it is fresh enough");
    assert_eq!(count(&store, &event, &bounded).await, acknowledged.len() as u64 - 1);

    pair.resume_replay().await;
    pair.wait_caught_up().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let count = store.rsvp_count_with(&event, Consistency::Bounded(5 * bound)).await.unwrap();
        if !count.age.is_zero() {
            break;
        }
        assert!(Instant::now() < deadline, "a replica that has caught up is asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_replica_that_is_down_is_skipped() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    let (user, event) = (UserId::from(1), EventId::from(2));
    let token = store.rsvp(&user, &event).await.unwrap().token;
    let levels =
        [EVENTUAL, Consistency::Bounded(Duration::from_secs(5)), Consistency::Session(token)];
    let all_answer = async || {
        for level in &levels {
            assert!(store.has_rsvped_with(&user, &event, level.clone()).await.unwrap());
            assert_eq!(count(&store, &event, level).await, 1);
        }
    };
    pair.wait_caught_up().await;
    all_answer().await;

    pair.standby().kill().await;
    all_answer().await;
    let begin = Instant::now();
    all_answer().await;
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());

    pair.standby().start_again().await;
    pair.wait_caught_up().await;
    pair.standby().pause().await;
    let begin = Instant::now();
    all_answer().await;
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    pair.standby().resume().await;
}

#[tokio::test]
async fn a_token_of_a_store_without_replicas_is_served_by_the_primary() {
    let pair = ReplicatedPostgres::start().await;
    let reader = store(&pair).await;
    let writer = PostgresStore::open(primary_only(&pair, 2)).await.unwrap();
    pair.pause_replay().await;
    for n in 0..20_u32 {
        let (user, event) = (UserId::from(n), EventId::from(n));
        let at = Consistency::Session(writer.rsvp(&user, &event).await.unwrap().token);
        assert!(reader.has_rsvped_with(&user, &event, at).await.unwrap());
    }
    pair.resume_replay().await;
}
