//! The sentences of the contract, a file a chapter.

pub(crate) mod batches;
pub(crate) mod faults;
pub(crate) mod ids;
pub(crate) mod lists;
pub(crate) mod model;
pub(crate) mod races;
pub(crate) mod reads;
pub(crate) mod removal;
pub(crate) mod writes;
