//! Shared rules for authors of backends and layers.
//!
//! A rule of the contract that several stores have to keep stands here once.
//!
//! - [`FoldedBatch`] reduces a batch to one write for each pair, for engines that write in sets.
//! - [`partition`], [`reorder`] and [`combine`] make one call out of several.
//! - [`run_to_end`] lets a call finish after its caller has gone away.
//! - [`HostFailure`] is the failure of one host of several.
//! - [`CursorWriter`] and [`CursorReader`] put the fields of a cursor into bytes and back.
//!   [`keyset_page`] makes pages of a sorted listing with them.
//! - [`Admission`] and [`LabelMap`] are for stores that keep everything in memory.
//! - [`stored_id`], [`check_range`], [`check_timeout`] and [`check_name`] check values,
//!   and name the wrong one in their error.

mod admission;
mod cursor;
mod folded_batch;
mod host_failure;
mod keyset;
mod label_map;
mod range;
mod ready;
mod run;
mod scatter;
mod stored;

pub use self::admission::Admission;
pub use self::cursor::{CursorReader, CursorWriter};
pub use self::folded_batch::FoldedBatch;
pub use self::host_failure::HostFailure;
pub use self::keyset::keyset_page;
pub use self::label_map::LabelMap;
pub use self::range::{check_range, check_timeout};
pub use self::ready::ready_by;
pub use self::run::run_to_end;
pub use self::scatter::{
    Part, check_answer_count, combine, combine_errors, fail_all, partition, reorder,
};
pub use self::stored::stored_id;
pub use crate::model::{MAX_NAME_BYTES, check_name};
