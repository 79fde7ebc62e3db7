//! The SQLite store keeps the contract, without exception, bare and within every layer.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bare;
mod layers;
mod support;
