//! The routes, called without a network.
#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod admin;
mod batches;
mod caching;
mod calls;
mod deadlines;
mod idempotency;
mod identity;
mod nesting;
mod probe;
