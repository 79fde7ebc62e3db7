//! `open` and its registry, without a server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[cfg(feature = "memory")]
mod conformance;
#[cfg(feature = "memory")]
mod layers;
mod registry;
mod schemes;
mod secrets;
mod shards;
