//! Drives the real service, a process of its own, over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only functions marked as tests for tests"
)]

#[path = "../../load/check/mod.rs"]
mod check;

mod ids;
mod lifecycle;
mod limits;
mod metrics;
mod openapi;
mod paging;
mod random;
mod raw;
mod service;
mod sessions;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod stores;
mod verbs;
