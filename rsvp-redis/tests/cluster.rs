//! A cluster whose nodes fail and whose slots move.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod cluster {
    mod dropped_calls;
    mod erasure;
    mod failover;
    mod moved_scan;
    mod moved_slots;
    mod partial_failure;
    mod readiness;
    mod sync_user_index;
    mod unsettled;
}
