//! The data: its keys, and the commands that read and write it.

pub(crate) mod counts;
pub(crate) mod cursor;
pub(crate) mod keys;
pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod ready;
pub(crate) mod remove;
pub(crate) mod reply;
pub(crate) mod scan_all;
pub(crate) mod scan_key;
pub(crate) mod user_index;
pub(crate) mod write;
