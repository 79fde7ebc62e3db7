//! The maps and sets that hold the RSVPs, without async.

mod cursor;
mod set;
mod table;

pub use self::table::RsvpTable;
