//! The Postgres store keeps the contract, without exception.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod owner;
mod poolers;
mod restricted_role;
mod support;
