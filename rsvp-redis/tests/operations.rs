//! Operations: durability, labels, audit and repair, waiting for replicas, closing, and batches of
//! any size and content.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod operations {
    mod big_batches;
    mod close;
    mod durability;
    mod labels;
    mod refused_entries;
    mod repair;
    mod round_trips;
    mod wait_replicas;
}
