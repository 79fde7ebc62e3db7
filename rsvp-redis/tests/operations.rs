//! Operations: durability, audit and repair, and waiting for replicas.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod operations {
    mod durability;
    mod repair;
    mod wait_replicas;
}
