//! Servers and networks that fail, and callers that go away.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "seeds and measured times are printed")]

mod bounded;
mod bulkheads;
mod cancellation;
mod clock;
mod crash;
mod deadline;
mod failover;
mod late;
mod silence;
mod standby;
mod support;
mod two_primaries;
