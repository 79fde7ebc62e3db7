//! The data: its keys, and the commands that read and write it.

pub(crate) mod cursor;
pub(crate) mod keys;
pub(crate) mod remove;
pub(crate) mod scan_all;
pub(crate) mod scan_key;
pub(crate) mod user_index;
pub(crate) mod write;
