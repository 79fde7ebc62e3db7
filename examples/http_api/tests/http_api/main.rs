//! Drives the real service over real sockets, in a process of its own or over a failing store.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only functions marked as tests for tests"
)]

#[cfg(feature = "sqlite")]
mod crashes;
mod failures;
mod host;
mod hostile;
mod ids;
mod lifecycle;
mod limits;
mod metrics;
mod openapi;
mod paging;
mod random;
mod raw;
mod rolling;
mod service;
mod sessions;
mod starting;
mod steady;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod stores;
mod stub;
mod verbs;
