//! Reads and writes of the rows, such as names, pairs, counts and labels.

pub(crate) mod change;
pub(crate) mod counts;
pub(crate) mod label;
pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod names;
pub(crate) mod read;
pub(crate) mod ready;
pub(crate) mod remove;
pub(crate) mod write;
