//! The maps and sets that hold the RSVPs, without async.

mod cursor;
mod labels;
mod set;
mod table;

pub(crate) use self::labels::Labels;
pub use self::table::RsvpTable;
