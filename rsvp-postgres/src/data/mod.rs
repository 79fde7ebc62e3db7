//! The statements of a store's calls, each with its arguments and its answer.

pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod write;
