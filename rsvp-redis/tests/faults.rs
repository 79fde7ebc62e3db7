//! Faults of one server, of a pair and of the network: the store stays right and bounded.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod faults {
    mod bounded;
    mod crash;
    mod cross_talk;
    mod cut;
    mod deadline;
    mod demoted_writes;
    mod demotion;
    mod failover;
    mod hang;
    mod late;
    mod lists_over_faults;
    mod outage;
    mod sentinels;
    mod silence;
    mod two_primaries;
}
