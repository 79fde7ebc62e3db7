//! The server, over sockets. The clock is paused, so every time-out is exact and takes no time.
#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod clients;
mod connections;
mod deploys;
mod starting;
