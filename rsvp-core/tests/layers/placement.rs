//! Where pairs live: pinned, even, and moved no more than they must be.

use std::collections::BTreeMap;

use rsvp_core::layers::Placement;
use rsvp_core::{Error, EventId, Rsvp, UserId};

/// Names that no other run has had.
fn names(count: usize) -> Vec<(String, f64)> {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    (0..count).map(|n| (format!("shard-{n}-{seed:x}"), 1.0)).collect()
}

fn pair(user: u32, event: u32) -> Rsvp {
    Rsvp::new(UserId::from(user), EventId::from(event))
}

/// 100,000 events of ten users each.
fn many_events() -> impl Iterator<Item = Rsvp> {
    (0..1_000_000).map(|n| pair(n % 999_983, n / 10))
}

/// One event of 1,000,000 users.
fn one_event() -> impl Iterator<Item = Rsvp> {
    (0..1_000_000).map(|n| pair(n, 7))
}

/// How far the shard that is furthest from its share is off it, in parts of the share.
fn largest_deviation(placement: &Placement, pairs: impl Iterator<Item = Rsvp>) -> f64 {
    let mut held: BTreeMap<&str, u32> = placement.shards().map(|(name, _)| (name, 0)).collect();
    for pair in pairs {
        *held.get_mut(placement.shard_of(&pair)).unwrap() += 1;
    }
    let weights: f64 = placement.shards().map(|(_, weight)| weight).sum();
    let all: u32 = held.values().sum();
    let deviation = |(name, weight): (&str, f64)| {
        let share = f64::from(all) * weight / weights;
        (f64::from(held[name]) - share).abs() / share
    };
    placement.shards().map(deviation).fold(0.0, f64::max)
}

/// How many of the pairs live elsewhere afterwards, and how many of those on `new`.
fn moved(
    before: &Placement,
    after: &Placement,
    new: &str,
    pairs: impl Iterator<Item = Rsvp>,
) -> (u32, u32) {
    let (mut moved, mut to_new) = (0, 0);
    for pair in pairs {
        let home = after.shard_of(&pair);
        moved += u32::from(home != before.shard_of(&pair));
        to_new += u32::from(home != before.shard_of(&pair) && home == new);
    }
    (moved, to_new)
}

#[test]
fn the_vectors_hold_in_any_order_of_the_shards() {
    for line in include_str!("placement_vectors.tsv").lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [shards, spread, user, event, of_event, of_pair] = columns.try_into().unwrap();
        let mut shards: Vec<(&str, f64)> = shards
            .split(' ')
            .map(|shard| shard.rsplit_once('=').unwrap())
            .map(|(name, weight)| (name, weight.parse().unwrap()))
            .collect();
        for _ in 0..2 {
            let placement = Placement::new(shards.clone(), spread.parse().unwrap()).unwrap();
            let pair = Rsvp::new(UserId::new(user).unwrap(), EventId::new(event).unwrap());
            assert_eq!(placement.shards_of(&pair.event).join(" "), of_event, "{line}");
            assert_eq!(placement.shard_of(&pair), of_pair, "{line}");
            shards.reverse();
        }
    }
}

#[test]
fn eight_equal_shards_share_evenly() {
    // Fixed names: of random ones, 3 in 1,000 would be off by more than 3 % by chance, since
    // 100,000 events are not so many.
    let fixed: Vec<_> = (1..=8).map(|n| (format!("shard{n}"), 1.0)).collect();
    for (names, bound) in [(fixed, 0.03), (names(8), 0.05)] {
        let events = largest_deviation(&Placement::new(names.clone(), 1).unwrap(), many_events());
        let users = largest_deviation(&Placement::new(names, 8).unwrap(), one_event());
        println!("off by {:.2} % over events, {:.2} % of one event", 100.0 * events, 100.0 * users);
        assert!(events <= bound && users <= 0.03, "{events} over events, {users} of one event");
    }
}

#[test]
fn shares_follow_the_weights() {
    let mut shards = names(4);
    for (shard, weight) in shards.iter_mut().zip([1.0, 2.0, 0.5, 4.5]) {
        shard.1 = weight;
    }
    let events = largest_deviation(&Placement::new(shards.clone(), 1).unwrap(), many_events());
    let users = largest_deviation(&Placement::new(shards, usize::MAX).unwrap(), one_event());
    assert!(events <= 0.05 && users <= 0.05, "{events} over events, {users} of one event");
}

#[test]
fn a_ninth_shard_takes_over_its_share_and_nothing_else_moves() {
    let shards = names(9);
    for spread in [1, 64] {
        let before = Placement::new(shards[..8].to_vec(), spread).unwrap();
        let after = Placement::new(shards.clone(), spread).unwrap();
        let counted = match spread {
            1 => moved(&before, &after, &shards[8].0, many_events()),
            _ => moved(&before, &after, &shards[8].0, one_event()),
        };
        println!("a ninth shard with a spread of {spread} moves {} of 1000000", counted.0);
        assert_eq!(counted.0, counted.1, "all of them to it");
        assert!(counted.0 <= 121_111, "{counted:?}");
        assert!(counted.0 >= 101_111, "and it does take its share: {counted:?}");
    }
}

#[test]
fn with_a_spread_in_between_less_than_twice_the_least_moves() {
    let shards = names(9);
    for spread in [2, 8] {
        let before = Placement::new(shards[..8].to_vec(), spread).unwrap();
        let after = Placement::new(shards.clone(), spread).unwrap();
        let (moved, to_new) = moved(&before, &after, &shards[8].0, many_events());
        println!("a ninth shard with a spread of {spread} moves {moved}, {to_new} of them to it");
        let expected = 2.0 * spread as f64 / (spread as f64 + 1.0) / 9.0 * 1e6;
        assert!((f64::from(moved) - expected).abs() < 0.05 * expected, "not about {expected}");
    }
}

#[test]
fn a_shard_that_goes_moves_only_what_it_had() {
    let shards = names(6);
    let before = Placement::new(shards.clone(), 1).unwrap();
    let after = Placement::new(shards[1..].to_vec(), 1).unwrap();
    for pair in many_events().step_by(10) {
        let home = before.shard_of(&pair);
        assert!(home == shards[0].0 || home == after.shard_of(&pair), "{pair:?}");
    }
}

#[test]
fn a_pair_lives_on_a_shard_of_its_event() {
    for spread in 1..=9 {
        let placement = Placement::new(names(8), spread).unwrap();
        for n in 0..2000 {
            let pair = pair(n, n % 50);
            let homes = placement.shards_of(&pair.event);
            assert_eq!(homes.len(), spread.min(8));
            assert!(homes.contains(&placement.shard_of(&pair)));
        }
    }
}

#[test]
fn what_makes_no_placement_is_refused() {
    let field = |shards: Vec<(&str, f64)>, spread| match Placement::new(shards, spread) {
        Err(Error::InvalidInput { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(vec![], 1), "shard");
    assert_eq!(field(vec![("a", 1.0), ("a", 2.0)], 1), "shard");
    assert_eq!(field(vec![("a", 1.0)], 0), "spread");
    for name in ["", "a b", "é", "a:b", "a/b", &"x".repeat(65)] {
        assert_eq!(field(vec![(name, 1.0)], 1), "shard", "{name:?}");
    }
    for weight in [0.0, -1.0, 0.0009, 1000.1, f64::NAN, f64::INFINITY] {
        assert_eq!(field(vec![("a", weight)], 1), "weight", "{weight}");
    }
    let many: Vec<_> = (0..1025).map(|n| (n.to_string(), 1.0)).collect();
    assert!(Placement::new(many, 1).is_err());
}
