//! The file and its owner, bounds, erasure, audit and backup.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod audit;
mod backup;
mod bounds;
mod erasure;
mod log;
mod opening;
mod refused_entries;
mod support;
