//! The sentences of the contract, one file for each chapter.

pub(crate) mod batches;
pub(crate) mod cancellation;
pub(crate) mod ids;
pub(crate) mod lists;
pub(crate) mod races;
pub(crate) mod random;
pub(crate) mod reads;
pub(crate) mod removal;
pub(crate) mod writes;
