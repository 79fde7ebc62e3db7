//! The sentences of the contract, one file for each chapter.

pub(crate) mod batches;
pub(crate) mod cancellation;
pub(crate) mod changing_lists;
pub(crate) mod closing;
pub(crate) mod cursors;
pub(crate) mod deadlines;
pub(crate) mod entries;
pub(crate) mod ids;
pub(crate) mod labels;
pub(crate) mod lists;
pub(crate) mod races;
pub(crate) mod random;
pub(crate) mod reads;
pub(crate) mod removal;
pub(crate) mod scale;
pub(crate) mod settled;
pub(crate) mod writes;
