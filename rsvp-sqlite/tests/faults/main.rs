//! The process is killed, the power fails, the disk fails: nothing acknowledged is lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and a process tells what it does"
)]

mod child;
mod corrupt;
mod crash;
mod disk;
mod faulty_disk;
mod gone;
mod ledger;
mod power_loss;
