//! Reads from replicas are as fresh as asked, and replicas that fail cost little.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "measured times are printed")]

mod freshness;
mod outage;
mod support;
