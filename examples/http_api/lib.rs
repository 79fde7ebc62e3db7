//! A program that checks a running service, for `load.rs` and for the tests.

pub mod check;
